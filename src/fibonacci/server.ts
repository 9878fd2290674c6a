/**
 * Serves Fibonacci numbers.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { MAX_BODY_BYTES } from "../protocol.ts";
import { checkInteger } from "../rpc/options.ts";
import { RpcServer } from "../rpc/server.ts";
import type { RpcServerOptions } from "../rpc/server_options.ts";
import { fibonacciServerCodec } from "./codec.ts";
import { fibonacciDecimal } from "./decimal.ts";
import { decimalDigits } from "./fibonacci.ts";

/** Settings of a {@linkcode FibonacciServer}. */
export interface FibonacciServerOptions extends RpcServerOptions {
  /**
   * The largest n that is computed; a larger one is answered with `out_of_range`.
   *
   * @default 1000000
   */
  maxN?: number;
}

/** The largest n that is computed unless told otherwise. */
export const DEFAULT_MAX_N = 1_000_000;

/** An upper bound for {@linkcode FibonacciServerOptions.maxN}: BigInt ends at about 2^30 bits, n = 1.5 * 10^9. */
const MAX_MAX_N = 1_500_000_000;

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
export class FibonacciServer extends RpcServer<number, string> {
  /**
   * Makes a server; {@linkcode RpcServer.start} starts it.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(options: FibonacciServerOptions = {}) {
    const { maxN = DEFAULT_MAX_N } = options;
    checkInteger("maxN", maxN, 0, MAX_MAX_N);
    super(fibonacciServerCodec(maxN), compute, options);
  }
}

function compute(n: number): string {
  if (decimalDigits(n) > MAX_BODY_BYTES) {
    throw new RpcError(
      "resource_exhausted",
      `fib(${n}) has more digits than a message may hold (${MAX_BODY_BYTES})`,
    );
  }
  return fibonacciDecimal(n);
}
