/**
 * What runs around every handler of a server: for traces, access, limits.
 *
 * @module
 */
import type { ServedService } from "../service.ts";
import type { HandlerContext } from "./handler.ts";

/** A request on its way to a handler. */
export interface IncomingRequest {
  /** The service that it is for. */
  readonly service: ServedService<unknown, unknown>;
  /** The broker that it came by, as `host:port`. */
  readonly broker: string;
  /** What the service's codec made of its body. */
  readonly input: unknown;
  /** What else its handler may know. */
  readonly context: HandlerContext;
}

/**
 * Runs around handlers. It calls `next` once, with the request or with a copy
 * that differs, and returns what that returned, or something else; or it throws
 * an `RpcError`, which the caller gets.
 *
 * @example Only callers with a token
 * ```ts
 * import { RpcError, RpcServer, type ServerInterceptor } from "@fibrpc/fibrpc/server";
 *
 * function requireToken(token: string): ServerInterceptor {
 *   return (request, next) => {
 *     if (request.context.headers.authorization === `Bearer ${token}`) return next(request);
 *     throw new RpcError("unauthenticated", "the request has no valid token");
 *   };
 * }
 *
 * export function newServer(url: string, token: string): RpcServer {
 *   return new RpcServer({ url, interceptors: [requireToken(token)] });
 * }
 * ```
 */
export type ServerInterceptor = (
  request: IncomingRequest,
  next: (request: IncomingRequest) => unknown,
) => unknown;
