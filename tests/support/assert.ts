/**
 * The part of `@std/assert` that the tests use, over `node:assert/strict`.
 * `@std/assert` is published on JSR only; `deno.json` maps its name to this
 * file so that the project installs from an npm mirror alone.
 *
 * @module
 */
import assertStrict from "node:assert/strict";

/** Fails unless `condition` is truthy. */
export function assert(
  condition: unknown,
  message?: string,
): asserts condition {
  assertStrict.ok(condition, message);
}

/** Fails unless both values are deeply and strictly equal. */
export function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  assertStrict.deepEqual(actual, expected, message);
}

/** Fails unless `actual` matches `pattern`. */
export function assertMatch(
  actual: string,
  pattern: RegExp,
  message?: string,
): void {
  assertStrict.match(actual, pattern, message);
}

/** Fails unless `text` contains `part`. */
export function assertStringIncludes(
  text: string,
  part: string,
  message?: string,
): void {
  assertStrict.ok(
    text.includes(part),
    message ??
      `${JSON.stringify(text)} does not contain ${JSON.stringify(part)}`,
  );
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = new (...args: any[]) => E;

/** Fails unless `fn` throws an `errorClass`; returns what it threw. */
export function assertThrows<E extends Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
): E {
  try {
    fn();
  } catch (error) {
    assertStrict.ok(
      error instanceof errorClass,
      `threw ${error}, not a ${errorClass.name}`,
    );
    return error;
  }
  assertStrict.fail(`did not throw a ${errorClass.name}`);
}

/** Fails unless `fn` rejects with an `errorClass`; resolves to what it rejected with. */
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    assertStrict.ok(
      error instanceof errorClass,
      `rejected with ${error}, not a ${errorClass.name}`,
    );
    return error;
  }
  assertStrict.fail(`did not reject with a ${errorClass.name}`);
}
