/**
 * Serves Fibonacci numbers.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../protocol/names.ts";
import { checkInteger, checkTimeout } from "../../checks.ts";
import { RpcServer } from "../../rpc/server/server.ts";
import type { HandlerContext, RpcServerOptions } from "../../rpc/server/options.ts";
import { fibonacciServerCodec } from "./codec.ts";
import { ComputePool, MIN_POOL_N } from "./pool/compute_pool.ts";
import { fibonacciDecimal } from "./math/decimal.ts";
import { decimalDigits } from "./math/fibonacci.ts";
import { DEFAULT_MAX_N, DEFAULT_MAX_TIME_MS, MAX_MAX_N, MAX_WORKERS } from "./limits.ts";

/** Settings of a {@linkcode FibonacciServer}. */
export interface FibonacciServerOptions extends RpcServerOptions {
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
export class FibonacciServer extends RpcServer<number, string | Uint8Array> {
  readonly #pool: ComputePool;

  /**
   * Makes a server; {@linkcode RpcServer.start} starts it.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(options: FibonacciServerOptions = {}) {
    const { maxN = DEFAULT_MAX_N, maxTimeMs = DEFAULT_MAX_TIME_MS, workers } = options;
    const { maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = options;
    checkInteger("maxN", maxN, 0, MAX_MAX_N);
    checkTimeout("maxTimeMs", maxTimeMs);
    if (workers !== undefined) checkInteger("workers", workers, 0, MAX_WORKERS);
    const pool = new ComputePool({ workers });
    super(
      fibonacciServerCodec(maxN),
      (n, context) => {
        if (n >= MIN_POOL_N) return computeBig(pool, n, context, maxTimeMs, maxMessageBytes);
        pool.smallCall();
        return fibonacciDecimal(n);
      },
      options,
    );
    this.#pool = pool;
  }

  /** See {@linkcode RpcServer.close}. */
  override async close(): Promise<number> {
    try {
      return await super.close();
    } finally {
      this.#pool.close();
    }
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
