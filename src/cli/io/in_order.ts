/**
 * Many tasks at once, their results in the order of their inputs.
 *
 * @module
 */

export interface InOrderOptions<Input, Result> {
  readonly inputs: AsyncIterable<readonly Input[]>;
  /** How many tasks run at once. */
  readonly maxInFlight: number;
  /** Starts nothing more once it aborts, and waits for nothing. */
  readonly signal: AbortSignal;
  /** Takes no more inputs once it aborts; the tasks for those that have come by then are run. */
  readonly enough?: AbortSignal;
  /** The task; it must not reject. */
  readonly run: (input: Input) => Promise<Result>;
  readonly emit: (result: Result) => void;
  /** How many bytes a result holds, if that can be many. */
  readonly sizeOf?: (result: Result) => number;
  /** Resolves when more results can be taken; `undefined` if now. */
  readonly ready: () => Promise<void> | undefined;
}

/** Results that may wait behind a slower one before it, as a multiple of `maxInFlight`. */
const MAX_WAITING = 64;

/** They may hold so many bytes, and what is in flight then. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** Resolves when every input was run and its result emitted, or when the signal aborted. */
export async function inOrder<Input, Result>(
  options: InOrderOptions<Input, Result>,
): Promise<void> {
  const { inputs, maxInFlight, signal, enough, run, emit, ready, sizeOf = () => 0 } = options;
  /** By input number; a result waits here for the ones before it. */
  const finished = new Map<number, Result>();
  let started = 0;
  let ended = 0;
  let emitted = 0;
  let waitingBytes = 0;
  let wake = () => {};
  // One promise at a time, which is kept by nothing that lives longer: a race
  // against one that lives as long as the inputs would leave something for each.
  const woken = () => new Promise<void>((resolve) => wake = resolve);
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  enough?.addEventListener("abort", onAbort);
  const full = () =>
    started - ended >= maxInFlight ||
    started - emitted >= maxInFlight * MAX_WAITING ||
    // The one that the others wait for is in flight.
    waitingBytes >= MAX_WAITING_BYTES;

  const onEnd = (number: number, result: Result) => {
    ended += 1;
    finished.set(number, result);
    waitingBytes += sizeOf(result);
    for (
      let next = finished.get(emitted);
      next !== undefined;
      next = finished.get(emitted)
    ) {
      finished.delete(emitted);
      waitingBytes -= sizeOf(next);
      emitted += 1;
      emit(next);
    }
    wake();
  };

  const runAll = async (batch: readonly Input[]) => {
    for (const input of batch) {
      while (full() && !signal.aborted) await woken();
      for (let pause; !signal.aborted && (pause = ready()) !== undefined;) {
        pause.then(() => wake());
        await woken();
      }
      if (signal.aborted) return;
      const number = started++;
      run(input).then((result) => onEnd(number, result));
    }
  };

  const iterator = inputs[Symbol.asyncIterator]();
  const pull = () => {
    const next = { isThere: false, result: iterator.next() };
    const onSettled = () => {
      next.isThere = true;
      wake();
    };
    next.result.then(onSettled, onSettled); // It may fail when nobody waits any more.
    return next;
  };
  try {
    for (let next = pull(); !signal.aborted;) {
      while (!next.isThere && !signal.aborted && !enough?.aborted) await woken();
      if (!next.isThere) break;
      const { value, done } = await next.result;
      if (done) break;
      const isLast = enough?.aborted;
      if (!isLast) next = pull(); // One batch ahead: what is there is known when it is enough.
      await runAll(value);
      if (isLast) break;
    }
    while (ended < started && !signal.aborted) await woken();
  } finally {
    signal.removeEventListener("abort", onAbort);
    enough?.removeEventListener("abort", onAbort);
  }
}
