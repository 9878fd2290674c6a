/**
 * Many tasks at once, their results in the order of their inputs.
 *
 * @module
 */

/** What {@linkcode inOrder} works on. */
export interface InOrderOptions<Input, Result> {
  /** The inputs, in batches as they come. */
  readonly inputs: AsyncIterable<readonly Input[]>;
  /** How many tasks run at once. */
  readonly maxInFlight: number;
  /** Starts no more once it aborts. */
  readonly signal: AbortSignal;
  /** The task; it must not reject. */
  readonly run: (input: Input) => Promise<Result>;
  /** Gets each result in its turn. */
  readonly emit: (result: Result) => void;
  /** Resolves when more results can be taken; `undefined` if now. */
  readonly ready: () => Promise<void> | undefined;
}

/** Results that may wait behind a slower one before it, as a multiple of `maxInFlight`. */
const MAX_WAITING = 64;

/** Resolves when every input was run and its result emitted, or when the signal aborted. */
export async function inOrder<Input, Result>(
  options: InOrderOptions<Input, Result>,
): Promise<void> {
  const { inputs, maxInFlight, signal, run, emit, ready } = options;
  /** By input number; a result waits here for the ones before it. */
  const finished = new Map<number, Result>();
  let started = 0;
  let ended = 0;
  let emitted = 0;
  let wake = () => {};
  const full = () =>
    started - ended >= maxInFlight ||
    started - emitted >= maxInFlight * MAX_WAITING;

  const onEnd = (number: number, result: Result) => {
    ended += 1;
    finished.set(number, result);
    for (
      let next = finished.get(emitted);
      next !== undefined;
      next = finished.get(emitted)
    ) {
      finished.delete(emitted);
      emitted += 1;
      emit(next);
    }
    wake();
  };
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const woken = () => Promise.race([aborted, new Promise<void>((resolve) => wake = resolve)]);

  const iterator = inputs[Symbol.asyncIterator]();
  while (!signal.aborted) {
    const batch = await Promise.race([aborted, iterator.next()]);
    if (batch === undefined || batch.done) break;
    for (const input of batch.value) {
      while (full() && !signal.aborted) await woken();
      const pause = ready();
      if (pause !== undefined) await Promise.race([aborted, pause]);
      if (signal.aborted) break;
      const number = started++;
      run(input).then((result) => onEnd(number, result));
    }
  }
  while (ended < started && !signal.aborted) await woken();
}
