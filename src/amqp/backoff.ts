/**
 * Exponential back-off with full jitter: a uniformly random share of a bound
 * that doubles. Many clients that lost the same broker don't come back in
 * step. (Marc Brooker, "Exponential Backoff And Jitter", 2015.)
 *
 * @module
 */

const BASE_MS = 100;

const CAP_MS = 10_000;

/**
 * How long to wait before the next attempt, in milliseconds.
 *
 * @param failures How many attempts failed in a row, from 1.
 * @param random A number from 0 to 1, for tests.
 */
export function backoffMs(
  failures: number,
  random: number = Math.random(),
): number {
  return random * Math.min(CAP_MS, BASE_MS * 2 ** (failures - 1));
}
