/**
 * Waiting for a condition where no event tells of it.
 *
 * @module
 */

/** Options of {@linkcode waitFor}. */
export interface WaitOptions {
  /** What is waited for, to be named in the failure: "the queue to be empty". */
  what: string;
  /**
   * How long to wait, in milliseconds. Generous: it is only used up by a
   * failure.
   *
   * @default {30_000}
   */
  timeoutMs?: number;
  /**
   * The pause between two looks, in milliseconds.
   *
   * @default {20}
   */
  intervalMs?: number;
}

type Falsy = false | null | undefined | 0 | "";

/**
 * Looks at `condition` until it is truthy, and resolves to what it gave then.
 *
 * @throws {Error} If `timeoutMs` passed first; the message quotes the last
 * value. What `condition` throws is passed on at once.
 */
export async function waitFor<T>(
  condition: () => T | PromiseLike<T>,
  { what, timeoutMs = 30_000, intervalMs = 20 }: WaitOptions,
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const value = await condition();
    if (value) return value as Exclude<T, Falsy>;
    if (performance.now() >= deadline) {
      throw new Error(
        `waited ${timeoutMs} ms in vain for ${what} (last seen: ${value})`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
