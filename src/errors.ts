/**
 * The one error class of fibrpc and its closed set of codes.
 *
 * @module
 */
import { messageOf } from "./text.ts";

/**
 * Every {@linkcode RpcErrorCode}, spelled as on the wire: gRPC's, which mean the
 * same here, and `no_server`. A service of one's own may answer with any of them.
 *
 * @see https://grpc.io/docs/guides/status-codes/
 */
export const RPC_ERROR_CODES = [
  /** The request is not what the server accepts. Sending it again won't help. */
  "invalid_argument",
  /** The request is well formed but over a limit on its value, such as a server's `maxN`. */
  "out_of_range",
  /** What is asked for does not exist. */
  "not_found",
  /** What is to be created exists. */
  "already_exists",
  /** The state of the system does not allow it, until somebody changes that. */
  "failed_precondition",
  /** A conflict with another request: the caller may begin again. */
  "aborted",
  /** The server has no such operation. */
  "unimplemented",
  /** A limit was reached: of the server, on time or on the size of the result, or of the client. */
  "resource_exhausted",
  /** The server failed. The details stay in its log. */
  "internal",
  /** The server failed, and does not know how. */
  "unknown",
  /** Data was lost, or is damaged beyond repair. */
  "data_loss",
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

/** What an {@linkcode RpcError} may hold besides its code and message. */
export interface RpcErrorOptions {
  /** The error behind this one. It is never sent to a peer. */
  readonly cause?: unknown;
  /** See {@linkcode RpcError.details}. It is sent to the caller. */
  readonly details?: unknown;
  /** See {@linkcode RpcError.remote}. */
  readonly remote?: boolean;
}

const BRAND = Symbol.for("fibrpc.RpcError");

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
  /** Knows errors of another copy of this package too: a program may have two. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== RpcError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** What went wrong. */
  readonly code: RpcErrorCode;
  /**
   * Whether the server said so. Otherwise the call failed on this side, or at
   * the broker: a server may answer with any code, `unavailable` included.
   */
  readonly remote: boolean;
  /** What a service adds for its callers: any JSON value. */
  readonly details: unknown;

  /**
   * Creates an error. A handler throws one to choose what its caller gets.
   *
   * @param code What went wrong.
   * @param message What was tried, where, and what to do.
   * @param options See {@linkcode RpcErrorOptions}.
   */
  constructor(code: RpcErrorCode, message: string, options: RpcErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "RpcError";
    this.code = code;
    this.remote = options.remote ?? false;
    this.details = options.details;
  }

  /**
   * Converts any thrown value to an `RpcError`: itself if it is one, else one of
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

Object.defineProperty(RpcError.prototype, BRAND, { value: true });

/** The same error with a stack of its own, for another of those whom it concerns. */
export function anew({ code, message, cause, details, remote }: RpcError): RpcError {
  return new RpcError(code, message, { cause, details, remote });
}
