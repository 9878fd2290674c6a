/**
 * Serves Fibonacci numbers.
 *
 * @module
 */
import type { ConnectionState, ConnectionStateChange } from "../../amqp/supervisor.ts";
import type { QueueInspection } from "../../amqp/queue.ts";
import { checkInteger, checkTimeout } from "../../checks.ts";
import { RpcError } from "../../errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_QUEUE } from "../../protocol/names.ts";
import type { HandlerContext } from "../../rpc/server/handler.ts";
import type { RpcServerStats } from "../../rpc/server/observer.ts";
import type { RpcServerOptions, ServeOptions } from "../../rpc/server/options.ts";
import type { QueueStatus } from "../../rpc/server/served_queue.ts";
import { RpcServer, type ServerReadiness } from "../../rpc/server/server.ts";
import { DEFAULT_MAX_N, DEFAULT_MAX_TIME_MS, MAX_MAX_N, MAX_WORKERS } from "./limits.ts";
import { fibonacciDecimal } from "./math/decimal.ts";
import { decimalDigits } from "./math/fibonacci.ts";
import { ComputePool, MIN_POOL_N } from "./pool/compute_pool.ts";
import { servedFibonacci } from "./service.ts";

/** Settings of a {@linkcode FibonacciServer}. */
export interface FibonacciServerOptions
  extends RpcServerOptions, Omit<ServeOptions, "concurrency" | "maxTimeMs"> {
  /**
   * The request queue.
   *
   * @default "rpc_queue"
   */
  queue?: string;
  /**
   * The largest n that is computed; a larger one is answered with `out_of_range`.
   *
   * @default 1000000
   */
  maxN?: number;
  /**
   * How long one computation may take, in milliseconds, whatever time the
   * caller has; one that takes longer is answered with `resource_exhausted`.
   * An n below 100,000 takes less than a millisecond and isn't watched.
   *
   * @default 30000
   */
  maxTimeMs?: number;
  /**
   * How many threads compute big numbers, from 0 (none: on the server's own).
   *
   * @default navigator.hardwareConcurrency
   */
  workers?: number;
}

/**
 * From this n on, a look at the caller's reply address comes first: the
 * computation takes ten times as long (8 ms against 0.7 ms).
 */
const MIN_LOOK_N = 2_000_000;

/**
 * An {@linkcode RpcServer} that computes Fibonacci numbers.
 *
 * @example
 * ```ts
 * import { FibonacciServer } from "@fibrpc/fibrpc";
 *
 * export async function serve(url: string, signal: AbortSignal): Promise<void> {
 *   await using server = new FibonacciServer({ url, maxN: 100_000 });
 *   signal.addEventListener("abort", () => server.close());
 *   await server.start();
 *   await server.closed;
 * }
 * ```
 */
export class FibonacciServer implements AsyncDisposable {
  /** See {@linkcode RpcServer.closed}. */
  readonly closed: Promise<void>;
  readonly #server: RpcServer;
  readonly #pool: ComputePool;

  /**
   * Creates a server; {@linkcode FibonacciServer.start} starts it.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(options: FibonacciServerOptions = {}) {
    const { maxN = DEFAULT_MAX_N, maxTimeMs = DEFAULT_MAX_TIME_MS, workers } = options;
    const { queue = DEFAULT_QUEUE, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = options;
    checkInteger("maxN", maxN, 0, MAX_MAX_N);
    checkTimeout("maxTimeMs", maxTimeMs);
    if (workers !== undefined) checkInteger("workers", workers, 0, MAX_WORKERS);
    const pool = new ComputePool({ workers });
    this.#pool = pool;
    this.#server = new RpcServer(options);
    this.closed = this.#server.closed;
    this.#server.serve(servedFibonacci(queue, maxN), (n, context) => {
      if (n >= MIN_POOL_N) return computeBig(pool, n, context, maxTimeMs, maxMessageBytes);
      pool.smallCall();
      return fibonacciDecimal(n);
    }, { ...options, maxTimeMs: Infinity }); // The pool keeps to the time.
  }

  /** See {@linkcode RpcServer.state}. */
  get state(): ConnectionState | "idle" {
    return this.#server.state;
  }

  /** See {@linkcode RpcServer.readiness}. */
  get readiness(): ServerReadiness {
    return this.#server.readiness;
  }

  /** See {@linkcode RpcServer.queues}; as many as there are threads are computed at the same time. */
  get queues(): readonly QueueStatus[] {
    return this.#server.queues.map((queue) => ({
      ...queue,
      concurrency: this.#pool.maxWorkers || 1,
    }));
  }

  /** See {@linkcode RpcServer.overrunMs}; the threads keep to the time. */
  get overrunMs(): number {
    return this.#server.overrunMs;
  }

  /** See {@linkcode RpcServer.inspect}. */
  inspect(queue: string): Promise<QueueInspection> {
    return this.#server.inspect(queue);
  }

  /** See {@linkcode RpcServer.onStateChange}. */
  onStateChange(listener: (change: ConnectionStateChange) => void): () => void {
    return this.#server.onStateChange(listener);
  }

  /** See {@linkcode RpcServer.broker}. */
  get broker(): string | undefined {
    return this.#server.broker;
  }

  /** See {@linkcode RpcServer.stats}. */
  get stats(): Readonly<RpcServerStats> {
    return this.#server.stats;
  }

  /** See {@linkcode RpcServer.pending}. */
  get pending(): number {
    return this.#server.pending;
  }

  /** See {@linkcode RpcServer.start}. */
  start(): Promise<void> {
    return this.#server.start();
  }

  /** See {@linkcode RpcServer.close}. */
  async close(): Promise<number> {
    try {
      return await this.#server.close();
    } finally {
      this.#pool.close();
    }
  }

  /** The same as {@linkcode FibonacciServer.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function computeBig(
  pool: ComputePool,
  n: number,
  context: HandlerContext,
  maxTimeMs: number,
  maxMessageBytes: number,
): Promise<Uint8Array> {
  if (decimalDigits(n) > maxMessageBytes) {
    throw new RpcError(
      "resource_exhausted",
      `fib(${n}) has more digits than a message may hold (${maxMessageBytes})`,
    );
  }
  if (n >= MIN_LOOK_N && await context.isCallerGone()) {
    throw new RpcError("cancelled", "the caller is gone");
  }
  return await pool.compute(n, { signal: context.signal, maxTimeMs });
}
