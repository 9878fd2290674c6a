/**
 * The limit on bodies: a larger one costs its channel, and all calls on it,
 * instead of arriving.
 *
 * @module
 */
import { RpcError } from "../errors.ts";

/** The text of RabbitMQ, 3.10 to 4.3, for a body over its setting `max_message_size`. */
const REFUSAL = /message size \d+ is larger than (?:configured )?max size (\d+)/;

/** The largest body: its owner's limit, or a lower one of the broker's, which a refusal reveals. */
export class MessageSizeLimit {
  readonly #maxBytes: number;
  #bytes: number;
  #connection: object | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#bytes = maxBytes;
  }

  /** What was learned on another connection counts no more: it may be another broker's. */
  startOn(connection: object): void {
    if (this.#connection !== connection) this.#bytes = this.#maxBytes;
    this.#connection = connection;
  }

  /**
   * Learns the limit from what the broker said when it closed a channel.
   *
   * @returns Whether a body over the limit was the reason.
   */
  learn(reason: Error): boolean {
    const bytes = REFUSAL.exec(reason.message)?.[1];
    if (bytes === undefined) return false;
    this.#bytes = Math.min(this.#bytes, Number(bytes));
    return true;
  }

  /** Whether the broker takes a body. */
  allows(body: string | Uint8Array): boolean {
    // A string's UTF-8 is at most three times as long: mostly no need to encode it.
    return body.length * 3 <= this.#bytes || bytesOf(body) <= this.#bytes;
  }

  /** The error for a body that is too large: `resource_exhausted`. */
  error(body: string | Uint8Array, what: string): RpcError {
    return new RpcError(
      "resource_exhausted",
      `${what} has ${bytesOf(body)} bytes, over the message limit of ${this.#bytes}`,
    );
  }
}

function bytesOf(body: string | Uint8Array): number {
  return typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
}
