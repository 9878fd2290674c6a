/**
 * The exit codes of every command.
 *
 * @module
 */
import type { RpcErrorCode } from "../errors.ts";
import type { EndSignal } from "./environment.ts";

/** Everything went well. */
export const EXIT_OK = 0;

/** The command failed, in a way that has no code of its own. */
export const EXIT_FAILURE = 1;

/** The command line can't be understood. */
export const EXIT_USAGE = 2;

/** What `fibrpc call` exits with after a call that ended so. */
export const EXIT_BY_ERROR: Readonly<Record<RpcErrorCode, number>> = {
  invalid_argument: EXIT_FAILURE,
  out_of_range: EXIT_FAILURE,
  resource_exhausted: EXIT_FAILURE,
  internal: EXIT_FAILURE,
  unavailable: 3,
  unauthenticated: 3,
  permission_denied: 3,
  deadline_exceeded: 4,
  no_server: 5,
  cancelled: EXIT_FAILURE, // By the server: a caller that gives up was told to by a signal.
};

/** 128 and the signal's number, as a shell reports it. */
export const EXIT_BY_SIGNAL: Readonly<Record<EndSignal, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGQUIT: 131,
  SIGTERM: 143,
};
