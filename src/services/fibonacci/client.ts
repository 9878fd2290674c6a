/**
 * Calls a Fibonacci server.
 *
 * @module
 */
import type { ConnectionState } from "../../amqp/supervisor.ts";
import { RpcError } from "../../errors.ts";
import { RpcClient } from "../../rpc/client/client.ts";
import type { RpcClientStats } from "../../rpc/client/observer.ts";
import type { CallOptions } from "../../rpc/client/call_options.ts";
import type { RpcClientOptions } from "../../rpc/client/options.ts";
import { checkQueueName, type Service } from "../../rpc/service.ts";
import { checkArgument } from "./argument.ts";
import { fibonacci } from "./service.ts";

/** Settings of a {@linkcode FibonacciClient}. */
export interface FibonacciClientOptions extends RpcClientOptions {
  /**
   * The request queue.
   *
   * @default "rpc_queue"
   */
  queue?: string;
}

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
export class FibonacciClient implements AsyncDisposable {
  readonly #client: RpcClient;
  readonly #service: Service<string, string>;

  /**
   * Creates a client; it connects at the first call.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor({ queue, ...options }: FibonacciClientOptions = {}) {
    this.#service = fibonacci(queue);
    checkQueueName(this.#service.queue);
    this.#client = new RpcClient(options);
  }

  /** See {@linkcode RpcClient.state}. */
  get state(): ConnectionState | "idle" {
    return this.#client.state;
  }

  /** See {@linkcode RpcClient.stats}. */
  get stats(): Readonly<RpcClientStats> {
    return this.#client.stats;
  }

  /** See {@linkcode RpcClient.pending}. */
  get pending(): number {
    return this.#client.pending;
  }

  /** See {@linkcode RpcClient.connect}. */
  connect(): Promise<void> {
    return this.#client.connect();
  }

  /**
   * Calls for the nth Fibonacci number.
   *
   * @param digits n in decimal digits, which are sent as they are.
   * @param options The call's own settings.
   * @returns The number in decimal digits.
   * @throws {RpcError} What the call ends with.
   */
  call(digits: string, options?: CallOptions): Promise<string> {
    return this.#client.call(this.#service, digits, options);
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

  /** See {@linkcode RpcClient.close}. */
  close(): Promise<void> {
    return this.#client.close();
  }

  /** The same as {@linkcode FibonacciClient.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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
