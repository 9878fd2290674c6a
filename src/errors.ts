/**
 * The one error class of fibrpc and its closed set of codes.
 *
 * @module
 */
import { messageOf } from "./text.ts";

/**
 * Every {@linkcode RpcErrorCode}, spelled as on the wire.
 *
 * The names are gRPC's where gRPC has one, and mean the same.
 */
export const RPC_ERROR_CODES = [
  /** The request is not what the server accepts. Sending it again won't help. */
  "invalid_argument",
  /** The request is well formed but over a limit on its value, such as a server's `maxN`. */
  "out_of_range",
  /** The work hit a limit of the server, on time or on the size of the result. */
  "resource_exhausted",
  /** The server failed. The details stay in its log. */
  "internal",
  /** The broker can't be reached, is blocked, or was lost for too long. */
  "unavailable",
  /** The broker refused the credentials. */
  "unauthenticated",
  /** The broker refused access to the virtual host or to a queue. */
  "permission_denied",
  /** No reply came within the timeout. */
  "deadline_exceeded",
  /** The request queue does not exist or, where that was asked for, has no consumer. */
  "no_server",
  /** The caller gave up, or closed its client. */
  "cancelled",
] as const;

/** What went wrong, as one of a closed set. */
export type RpcErrorCode = typeof RPC_ERROR_CODES[number];

/** Whether `value` is one of {@linkcode RPC_ERROR_CODES}. */
export function isRpcErrorCode(value: unknown): value is RpcErrorCode {
  return (RPC_ERROR_CODES as readonly unknown[]).includes(value);
}

/**
 * A call, a connection or a handler failed; {@linkcode RpcError.code} says how.
 *
 * Nothing in fibrpc throws anything else, except for mistakes in the
 * program's own code (`TypeError`, `RangeError`).
 *
 * @example A handler that chooses the code its caller sees
 * ```ts
 * import { RpcError } from "@fibrpc/fibrpc";
 *
 * function handle(n: number): number {
 *   if (n > 100) throw new RpcError("out_of_range", `n = ${n} is over 100`);
 *   return n * 2;
 * }
 * ```
 */
export class RpcError extends Error {
  /** What went wrong. */
  readonly code: RpcErrorCode;

  /**
   * Makes an error; to end a request with, throw it.
   *
   * @param code What went wrong.
   * @param message What was tried, where, and what to do.
   * @param options `cause`: the error behind this one. It is never sent to a peer.
   */
  constructor(code: RpcErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RpcError";
    this.code = code;
  }

  /**
   * Gives any thrown value as an `RpcError`: itself if it is one, else one of
   * `code` with the value as its cause.
   *
   * @param thrown What was caught.
   * @param code The code for anything that isn't an `RpcError` yet.
   * @param message Replaces the thrown value's own message.
   */
  static from(
    thrown: unknown,
    code: RpcErrorCode = "internal",
    message?: string,
  ): RpcError {
    if (thrown instanceof RpcError) return thrown;
    return new RpcError(code, message ?? messageOf(thrown), { cause: thrown });
  }
}
