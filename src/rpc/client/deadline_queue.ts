/**
 * Timers for many items that mostly take the same time: one of the runtime's
 * for each length, instead of one for each item, which costs a client a tenth
 * of its time. Those of one length are due in the order they were set.
 *
 * @module
 */

/** Timers of many items. An item has at most one timer of each length. */
export class DeadlineQueue<Item> {
  readonly #onDue: (item: Item) => void;
  readonly #byLength = new Map<number, Queue<Item>>();

  /** @param onDue Is called with each item when its time is up; its timer is gone by then. */
  constructor(onDue: (item: Item) => void) {
    this.#onDue = onDue;
  }

  /** Calls back with `item` after `ms` milliseconds, counted from `now` on the clock of `performance.now()`. */
  set(item: Item, ms: number, now: number = performance.now()): void {
    let queue = this.#byLength.get(ms);
    if (queue === undefined) {
      queue = new Queue(ms, this.#onDue);
      this.#byLength.set(ms, queue);
    }
    queue.add(item, now);
  }

  clear(item: Item, ms: number): void {
    const queue = this.#byLength.get(ms);
    if (queue === undefined) return;
    queue.delete(item);
    if (queue.isEmpty) this.#byLength.delete(ms);
  }
}

class Queue<Item> {
  readonly #ms: number;
  readonly #onDue: (item: Item) => void;
  /** When each is due, on the clock of `performance.now()`. */
  readonly #due = new Map<Item, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, onDue: (item: Item) => void) {
    this.#ms = ms;
    this.#onDue = onDue;
  }

  get isEmpty(): boolean {
    return this.#due.size === 0;
  }

  add(item: Item, now: number): void {
    const due = now + this.#ms;
    this.#due.set(item, due);
    if (this.#due.size === 1) this.#armFor(due);
  }

  delete(item: Item): void {
    this.#due.delete(item);
    if (this.#due.size === 0) clearTimeout(this.#timer);
  }

  readonly #run = (): void => {
    const now = performance.now();
    try {
      for (const [item, due] of this.#due) {
        if (due > now) break;
        this.#due.delete(item);
        this.#onDue(item);
      }
    } finally {
      const [next] = this.#due.values();
      if (next !== undefined) this.#armFor(next);
    }
  };

  #armFor(due: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#run, Math.max(due - performance.now(), 0));
  }
}
