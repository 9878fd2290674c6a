/**
 * What runs around every call of a client: for traces, tokens, retries.
 *
 * @module
 */
import type { CalledService } from "../service.ts";
import type { CallOptions } from "./call_options.ts";

/** A call on its way out. */
export interface OutgoingCall {
  /** The service that it is for. */
  readonly service: CalledService<unknown, unknown>;
  /** The broker in use, or tried at present, as `host:port`. */
  readonly broker: string;
  /** What the service's codec makes a body of. */
  readonly input: unknown;
  /** The settings of the call. */
  readonly options: CallOptions;
}

/**
 * Runs around calls. It calls `next` with the call, or with a copy that differs,
 * as often as it likes, and returns what that resolved to, or something else.
 *
 * @example A token for every call
 * ```ts
 * import { type ClientInterceptor, RpcClient } from "@fibrpc/fibrpc/client";
 *
 * function withToken(token: string): ClientInterceptor {
 *   return (call, next) => {
 *     const headers = { ...call.options.headers, authorization: `Bearer ${token}` };
 *     return next({ ...call, options: { ...call.options, headers } });
 *   };
 * }
 *
 * export function newClient(url: string, token: string): RpcClient {
 *   return new RpcClient({ url, interceptors: [withToken(token)] });
 * }
 * ```
 */
export type ClientInterceptor = (
  call: OutgoingCall,
  next: (call: OutgoingCall) => Promise<unknown>,
) => Promise<unknown>;
