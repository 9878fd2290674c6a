/**
 * Request/reply over RabbitMQ, compatible on the wire with the "tutorial six"
 * programs of every language, and what they leave open: timeouts, errors,
 * lost connections, dying servers.
 *
 * {@linkcode RpcServer} and {@linkcode RpcClient} serve and call any
 * {@linkcode Service}; {@linkcode FibonacciServer} and {@linkcode FibonacciClient}
 * are the tutorial's on them.
 *
 * Each end can be had alone: `@fibrpc/fibrpc/client`, `/server`, `/service` (what
 * both share) and `/fibonacci`.
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
export * from "./src/api/client.ts";
export * from "./src/api/server.ts";
export * from "./src/api/fibonacci.ts";
export * from "./src/api/command.ts";
