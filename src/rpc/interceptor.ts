/**
 * What runs around something, and calls it.
 *
 * @module
 */

/** Runs around what `next` does. */
export type Interceptor<Call, Result> = (call: Call, next: (call: Call) => Result) => Result;

/** `innermost` with the interceptors around it, the first being the outermost. */
export function intercept<Call, Result>(
  innermost: (call: Call) => Result,
  interceptors: readonly Interceptor<Call, Result>[],
): (call: Call) => Result {
  return interceptors.reduceRight<(call: Call) => Result>(
    (next, interceptor) => (call) => interceptor(call, next),
    innermost,
  );
}
