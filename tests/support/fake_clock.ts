/**
 * Time that a test moves: `performance.now()`, `setTimeout` and `setInterval`,
 * for code that does nothing but wait. Use it in tests without real waiting.
 *
 * @module
 */

interface Timer {
  at: number;
  readonly callback: () => void;
  readonly everyMs: number | undefined;
}

/** Takes the place of the real clock until it is disposed of. */
export class FakeClock implements Disposable {
  readonly #timers = new Map<number, Timer>();
  readonly #real = {
    now: performance.now,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
  };
  #now = 1_000_000;
  #nextId = 1;

  /** From now on time stands still until {@linkcode FakeClock.advance} is called. */
  constructor() {
    const add = (callback: () => void, ms = 0, everyMs?: number) => {
      this.#timers.set(this.#nextId, { at: this.#now + ms, callback, everyMs });
      return this.#nextId++;
    };
    const clear = (id?: number) => void this.#timers.delete(id ?? 0);
    performance.now = () => this.#now;
    Object.assign(globalThis, {
      setTimeout: add,
      setInterval: (callback: () => void, ms = 0) => add(callback, ms, ms),
      clearTimeout: clear,
      clearInterval: clear,
    });
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves time on; each timer runs at its own. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next; (next = this.#next()) !== undefined && next[1].at <= end;) {
      this.#now = next[1].at;
      this.#run(...next);
    }
    this.#now = end;
  }

  /** Moves time on while nothing runs, as if the process had been stopped; then what is due runs once. */
  standStill(ms: number): void {
    this.#now += ms;
    for (const [id, timer] of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      timer.at = this.#now;
      this.#run(id, timer);
    }
  }

  /** Gives the real clock back. */
  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    performance.now = now;
    Object.assign(globalThis, timers);
  }

  #next(): [id: number, timer: Timer] | undefined {
    return [...this.#timers].sort(([, one], [, other]) => one.at - other.at)[0];
  }

  #run(id: number, timer: Timer): void {
    if (timer.everyMs === undefined) this.#timers.delete(id);
    else timer.at += timer.everyMs;
    timer.callback();
  }
}
