/**
 * Pauses, and bounds on what has none of its own.
 *
 * @module
 */

/** Resolves after `ms`, or at once when `signal` aborts. It never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** Resolves with `promise`, which must not reject, or when so many milliseconds have passed. */
export async function settledWithin(ms: number, promise: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([promise, pause(ms, over.signal)]);
  over.abort();
}

/** Somebody took too long. */
export class NoAnswer extends Error {
  /** @ignore */
  override readonly name = "NoAnswer";

  constructor(what: string, timeoutMs: number) {
    super(`${what} within ${Math.round(timeoutMs)} ms`);
  }
}

/**
 * The outcome of `work`, if it comes in time. What takes longer goes on;
 * nobody waits for it here.
 *
 * @param timeoutMs For how long at the most, in milliseconds.
 * @param signal Gives up early.
 * @param what Begins the error's message, such as `no answer from DNS`.
 */
export async function within<Result>(
  work: Promise<Result>,
  timeoutMs: number,
  signal: AbortSignal,
  what: string,
): Promise<Result> {
  work.catch(() => {}); // It may fail after the race.
  const stop = new AbortController();
  const late = pause(timeoutMs, AbortSignal.any([signal, stop.signal])).then(() => {
    signal.throwIfAborted();
    throw new NoAnswer(what, timeoutMs);
  });
  late.catch(() => {}); // It ends after the race.
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}
