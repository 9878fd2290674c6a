/**
 * Checks of settings. What they refuse is `invalid_argument`.
 *
 * @module
 */
import { RpcError } from "./errors.ts";

/** The longest timeout, in milliseconds: 24 days, the most whole days that `setTimeout` can hold. */
export const MAX_TIMEOUT_MS = 24 * 24 * 60 * 60 * 1000;

/** Refuses a setting that is not a whole number from `min` to `max`. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max: number,
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RpcError(
    "invalid_argument",
    `${name} ${value} is not a whole number from ${min} to ${max}`,
  );
}

/** Refuses a time that no timer can keep. */
export function checkTimeout(name: string, ms: number): void {
  if (ms > 0 && ms <= MAX_TIMEOUT_MS) return;
  throw new RpcError(
    "invalid_argument",
    `${name} ${ms} is not over 0 and at most ${MAX_TIMEOUT_MS} milliseconds (24 days)`,
  );
}

/** Refuses a setting that is not one of a few strings. */
export function checkChoice(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new RpcError(
    "invalid_argument",
    `${name} ${JSON.stringify(value)} is not one of ${choices.join(", ")}`,
  );
}
