/**
 * The exit codes of every command.
 *
 * @module
 */
import type { RpcError, RpcErrorCode } from "../errors.ts";
import type { EndSignal } from "./environment.ts";

/** Everything went well. */
export const EXIT_OK = 0;

/** The command failed, in a way that has no code of its own. */
export const EXIT_FAILURE = 1;

/** The command line can't be understood. */
export const EXIT_USAGE = 2;

/** The broker can't be reached, refuses access, or was lost. */
export const EXIT_UNAVAILABLE = 3;

/** Nobody serves. */
export const EXIT_NO_SERVER = 5;

/** What became of the broker, or of the way to it, by the code that says so. */
const BY_CODE: Readonly<Partial<Record<RpcErrorCode, number>>> = {
  unavailable: EXIT_UNAVAILABLE,
  unauthenticated: EXIT_UNAVAILABLE,
  permission_denied: EXIT_UNAVAILABLE,
  deadline_exceeded: 4,
  no_server: EXIT_NO_SERVER,
};

/** The exit code of a command that failed so. What a server answers is a failure, whatever its code. */
export function exitCodeOf({ code, remote }: Pick<RpcError, "code" | "remote">): number {
  return remote ? EXIT_FAILURE : BY_CODE[code] ?? EXIT_FAILURE;
}

/** 128 and the signal's number, as a shell reports it. */
export const EXIT_BY_SIGNAL: Readonly<Record<EndSignal, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGQUIT: 131,
  SIGTERM: 143,
};
