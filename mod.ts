/**
 * Request/reply over RabbitMQ, compatible on the wire with the "tutorial six"
 * programs of every language, and what they leave open: timeouts, errors,
 * lost connections, dying servers.
 *
 * {@linkcode RpcServer} and {@linkcode RpcClient} serve and call any
 * {@linkcode Service}; {@linkcode FibonacciServer} and {@linkcode FibonacciClient}
 * are the tutorial's on them.
 *
 * @example A server and a call
 * ```ts
 * import { FibonacciClient, FibonacciServer } from "@fibrpc/fibrpc";
 *
 * export async function serveAndCall(url: string): Promise<bigint> {
 *   await using server = new FibonacciServer({ url });
 *   await server.start();
 *   await using client = new FibonacciClient({ url });
 *   return await client.fibonacci(30, { timeoutMs: 5_000 }); // 832040n
 * }
 * ```
 *
 * @module
 */
export {
  RPC_ERROR_CODES,
  RpcError,
  type RpcErrorCode,
  type RpcErrorOptions,
} from "./src/errors.ts";
export { bytes, type Codec, type Decoder, type Encoder, json, text } from "./src/rpc/codec.ts";
export type { StandardIssue, StandardResult, StandardSchema } from "./src/rpc/standard_schema.ts";
export type { CalledService, ServedService, Service, ServiceTarget } from "./src/rpc/service.ts";
export type { ConnectOptions } from "./src/rpc/connect_options.ts";
export { RpcClient } from "./src/rpc/client/client.ts";
export type {
  CallOptions,
  ReplyMode,
  RpcClientOptions,
  RpcClientStats,
} from "./src/rpc/client/options.ts";
export { RpcServer } from "./src/rpc/server/server.ts";
export type { RpcServerOptions, ServeOptions } from "./src/rpc/server/options.ts";
export type { RpcServerStats } from "./src/rpc/server/observer.ts";
export {
  createHandlerContext,
  type HandlerContext,
  type RpcHandler,
} from "./src/rpc/server/handler.ts";
export { fibonacci } from "./src/services/fibonacci/service.ts";
export { FibonacciClient, type FibonacciClientOptions } from "./src/services/fibonacci/client.ts";
export { FibonacciServer, type FibonacciServerOptions } from "./src/services/fibonacci/server.ts";
export type { ConnectionState, ConnectionStateChange } from "./src/amqp/supervisor.ts";
export type { Credentials } from "./src/amqp/credentials.ts";
export type { MessageHeader, MessageProperties } from "./src/amqp/message.ts";
export type { QueueType } from "./src/amqp/queue.ts";
export type { TlsOptions } from "./src/amqp/connection.ts";
