/**
 * The limit on bodies: a larger one costs its channel, and all calls on it,
 * instead of arriving.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { MAX_BODY_BYTES } from "../protocol.ts";

/** How RabbitMQ says that a body was over its setting `max_message_size`, 3.10 to 4.3. */
const REFUSAL = /message size \d+ is larger than (?:configured )?max size (\d+)/;

/** See the module. RabbitMQ's default at first; a lower one is learned the hard way, once. */
export class BodyLimit {
  #bytes = MAX_BODY_BYTES;

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

  /**
   * Refuses a body that the broker would.
   *
   * @param what What it is, for the message.
   * @throws {RpcError} `resource_exhausted`.
   */
  check(body: string | Uint8Array, what: string): void {
    // A string's UTF-8 is at most three times as long: mostly no need to encode it.
    if (body.length * 3 <= this.#bytes) return;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
    if (bytes <= this.#bytes) return;
    throw new RpcError(
      "resource_exhausted",
      `${what} has ${bytes} bytes, over the message limit of ${this.#bytes}`,
    );
  }
}
