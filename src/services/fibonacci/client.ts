/**
 * Calls a Fibonacci server.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { RpcClient } from "../../rpc/client/client.ts";
import type { CallOptions } from "../../rpc/client/options.ts";
import { checkArgument } from "./argument.ts";
import { fibonacciClientCodec } from "./codec.ts";
import type { RpcClientOptions } from "../../rpc/client/options.ts";

/**
 * An {@linkcode RpcClient} that calls for Fibonacci numbers.
 *
 * @example
 * ```ts
 * import { FibonacciClient } from "@fibrpc/fibrpc";
 *
 * export async function call(url: string): Promise<bigint> {
 *   await using client = new FibonacciClient({ url });
 *   return await client.fibonacci(30); // 832040n
 * }
 * ```
 */
export class FibonacciClient extends RpcClient<string, string> {
  /**
   * Makes a client; it connects at the first call.
   *
   * @param options Settings; all have defaults. Its calls are `idempotent` unless
   * they say otherwise.
   */
  constructor(options: RpcClientOptions = {}) {
    const { idempotent = true } = options;
    super(fibonacciClientCodec, { ...options, idempotent });
  }

  /**
   * Calls for the nth Fibonacci number.
   *
   * @param n A non-negative integer, as a number, a bigint, or decimal text.
   * @param options The call's own settings.
   * @throws {RpcError} `invalid_argument` if `n` isn't one; else what the call ends with.
   */
  async fibonacci(
    n: number | bigint | string,
    options?: CallOptions,
  ): Promise<bigint> {
    const digits = checkArgument(
      typeof n === "number" ? numberText(n) : String(n),
    );
    return BigInt(await this.call(digits, options));
  }
}

/** Not `String`: from 1e21 on that writes an exponent. */
function numberText(n: number): string {
  if (Number.isSafeInteger(n)) return String(n);
  throw new RpcError(
    "invalid_argument",
    `${n} is not a whole number below 2^53 (use a bigint)`,
  );
}
