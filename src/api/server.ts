/**
 * The serving end, and what both ends share.
 *
 * @module
 */
export * from "./service.ts";
export { RpcServer, type ServerReadiness } from "../rpc/server/server.ts";
export type { QueueStatus } from "../rpc/server/served_queue.ts";
export type { IncomingRequest, ServerInterceptor } from "../rpc/server/interceptor.ts";
export type { RpcServerOptions, ServeOptions } from "../rpc/server/options.ts";
export type {
  ObservedRequest,
  RequestOutcome,
  RpcServerStats,
  ServerObserver,
} from "../rpc/server/observer.ts";
export {
  createHandlerContext,
  type HandlerContext,
  RequeueError,
  type RpcHandler,
} from "../rpc/server/handler.ts";
export type { QueueInspection, QueueState, QueueType } from "../amqp/queue.ts";
export type { ConnectOptions } from "../rpc/connect_options.ts";
export type { ConnectionState, ConnectionStateChange } from "../amqp/supervisor.ts";
export type { Credentials } from "../amqp/credentials.ts";
export type { TlsOptions } from "../amqp/connection.ts";
