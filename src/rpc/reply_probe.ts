/**
 * Finds out whether a reply address can be published to, without risking the
 * connection that serves.
 *
 * RabbitMQ decodes a direct reply-to address when it is published to. One
 * that was made up, or names a cluster node that is gone, crashes the channel
 * and costs the whole connection (541; seen on 3.10), and every request on it
 * is delivered again, this one included. A passive declare of the address
 * tells, and it is done on a connection of its own.
 *
 * @module
 */
import type { BrokerUrl } from "../amqp/broker_url.ts";
import { REPLY_CODE, replyCodeOf } from "../amqp/connect_failure.ts";
import { inspectQueue } from "../amqp/queue.ts";
import { Transport, type TransportOptions } from "../amqp/transport.ts";

/** How long the connection is kept after the last use, in milliseconds. */
const IDLE_MS = 5_000;

/** How long a look may take, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** See the module. */
export class ReplyProbe {
  readonly #options: TransportOptions;
  readonly #closing = new AbortController();
  #transport: Transport | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** @param options How to connect. */
  constructor(options: TransportOptions) {
    this.#options = { ...options, name: `${options.name} (reply probe)` };
  }

  /**
   * Whether something still listens at `address`. One look at a time: one
   * that crashes the connection must not be blamed on another.
   *
   * @returns `unknown` if it can't be seen: another connection's exclusive
   * queue, no permission to look, no connection.
   */
  async check(broker: BrokerUrl, address: string): Promise<boolean | "unknown"> {
    const turn = this.#last.then(() => this.#check(broker, address));
    this.#last = turn;
    return await turn;
  }

  /** Ends its connection. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    await this.#last;
    clearTimeout(this.#idle);
    await this.#transport?.close();
  }

  async #check(broker: BrokerUrl, address: string): Promise<boolean | "unknown"> {
    const { signal } = this.#closing;
    clearTimeout(this.#idle);
    try {
      // After a fail-over the old broker doesn't know the new one's addresses.
      if (this.#transport?.broker !== broker) await this.#transport?.close();
      if (this.#transport?.closed ?? true) {
        this.#transport = await Transport.open(broker, this.#options, TIMEOUT_MS, signal);
      }
    } catch {
      return "unknown";
    }
    const transport = this.#transport!;
    const timer = setTimeout(() => transport.destroy(new Error("no answer")), TIMEOUT_MS);
    try {
      return (await inspectQueue(transport, address)).found;
    } catch (error) {
      // Only what costs the connection is an address that can't be used.
      return replyCodeOf(error) === REPLY_CODE.INTERNAL_ERROR ? false : "unknown";
    } finally {
      clearTimeout(timer);
      if (!signal.aborted) this.#idle = setTimeout(() => void transport.close(), IDLE_MS);
    }
  }
}
