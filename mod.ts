/**
 * Request/reply over RabbitMQ, compatible on the wire with the "tutorial six"
 * programs of every language, and what they leave open: timeouts, errors,
 * lost connections, dying servers.
 *
 * {@linkcode RpcClient} and {@linkcode RpcServer} are generic over the
 * service; {@linkcode FibonacciClient} and {@linkcode FibonacciServer} are the
 * tutorial's service on them.
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
export { FibonacciClient } from "./src/services/fibonacci/client.ts";
export { FibonacciServer, type FibonacciServerOptions } from "./src/services/fibonacci/server.ts";
export { RpcClient } from "./src/rpc/client/client.ts";
export type {
  CallOptions,
  ReplyMode,
  RpcClientOptions,
  RpcClientStats,
} from "./src/rpc/client/options.ts";
export type { RpcClientCodec, RpcCodec, RpcServerCodec } from "./src/rpc/codec.ts";
export type { ConnectOptions } from "./src/rpc/connect_options.ts";
export { RpcServer } from "./src/rpc/server/server.ts";
export type { HandlerContext, RpcHandler, RpcServerOptions } from "./src/rpc/server/options.ts";
export type { RpcServerStats } from "./src/rpc/server/observer.ts";
export type { ConnectionState, ConnectionStateChange } from "./src/amqp/supervisor.ts";
export type { Credentials } from "./src/amqp/credentials.ts";
export type { QueueType } from "./src/amqp/queue.ts";
export type { TlsOptions } from "./src/amqp/connection.ts";
