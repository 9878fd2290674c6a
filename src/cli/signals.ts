/**
 * The signals that end a command.
 *
 * @module
 */
import type { EndSignal, Environment } from "./environment.ts";
import { EXIT_BY_SIGNAL } from "./exit_codes.ts";

/**
 * How long after the first signal others are the same one, in milliseconds: a
 * terminal sends Ctrl-C to a wrapper and to what it runs, and the wrapper
 * forwards it.
 */
const SAME_SIGNAL_MS = 500;

/** Calls `end` for the first signal; a second one ends the process at once. */
export function onEndSignal(environment: Environment, end: (signal: EndSignal) => void): void {
  let firstAt: number | undefined;
  environment.onSignal((signal, at) => {
    if (firstAt === undefined) {
      firstAt = at;
      end(signal);
    } else if (at - firstAt >= SAME_SIGNAL_MS) {
      environment.exit(EXIT_BY_SIGNAL[signal]);
    }
  });
}
