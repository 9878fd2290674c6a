/**
 * The calling end, and what both ends share.
 *
 * @module
 */
export * from "./service.ts";
export { RpcClient } from "../rpc/client/client.ts";
export type { ClientInterceptor, OutgoingCall } from "../rpc/client/interceptor.ts";
export type { CallOptions } from "../rpc/client/call_options.ts";
export type { ReplyMode, RpcClientOptions } from "../rpc/client/options.ts";
export type { CallObserver, RpcClientStats } from "../rpc/client/observer.ts";
export type { ConnectOptions } from "../rpc/connect_options.ts";
export type { ConnectionState, ConnectionStateChange } from "../amqp/supervisor.ts";
export type { Credentials } from "../amqp/credentials.ts";
export type { TlsOptions } from "../amqp/connection.ts";
