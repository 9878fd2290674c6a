/**
 * Looks at reply addresses without risking the connection that serves: with
 * passive declares, on a connection of its own.
 *
 * @module
 */
import type { BrokerUrl } from "../../../amqp/broker_url.ts";
import { REPLY_CODE, replyCodeOf } from "../../../amqp/failure.ts";
import { inspectQueue } from "../../../amqp/queue.ts";
import { Connection, type ConnectionOptions } from "../../../amqp/connection.ts";

/** How long the connection is kept after the last use, in milliseconds. */
const IDLE_MS = 5_000;

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * How long the broker may take to answer, in milliseconds. RabbitMQ 3.10 and
 * 4.0 never answer for an address that names a process of the broker's own:
 * they ask that process, and it does not reply.
 */
const ANSWER_TIMEOUT_MS = 1_000;

/** For how long after a look that was lost callers are not looked for, in milliseconds. */
const PAUSE_MS = 10_000;

/** How many callers are looked for at the same time; each look costs the broker a channel. */
const MAX_LOOKS = 16;

/**
 * What a look at an address found.
 *
 * - `found`: somebody listens there.
 * - `missing`: nobody does.
 * - `lost`: the broker did not answer, or closed the connection (541).
 * - `unseen`: it can't be seen: another connection's exclusive queue, no
 *   permission to look, no connection.
 */
export type Look = "found" | "missing" | "lost" | "unseen";

/** Looks at reply addresses, on a connection of its own. */
export class ReplyProbe {
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  #broker: BrokerUrl | undefined;
  #connection: Promise<Connection> | undefined;
  #inFlight = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #pausedUntil = -Infinity;

  constructor(options: ConnectionOptions) {
    this.#options = { ...options, name: `${options.name} (reply probe)` };
  }

  /**
   * Whether nobody listens at an address any more. The answer only saves work,
   * so nobody waits long for it: where many looks are under way, and for a
   * while after one that was lost, callers count as present.
   */
  async isGone(broker: BrokerUrl, address: string): Promise<boolean> {
    if (this.#inFlight >= MAX_LOOKS || performance.now() < this.#pausedUntil) return false;
    const look = await this.look(broker, address);
    if (look === "lost") this.#pausedUntil = performance.now() + PAUSE_MS;
    return look === "missing";
  }

  /** Looks at an address. Of looks under way at the same time, one that is lost loses the others. */
  async look(broker: BrokerUrl, address: string): Promise<Look> {
    this.#inFlight += 1;
    clearTimeout(this.#idle);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isLate = false;
    try {
      const connection = await this.#connect(broker);
      timer = setTimeout(() => {
        isLate = true;
        connection.destroy(new Error("no answer"));
      }, ANSWER_TIMEOUT_MS);
      const { found } = await inspectQueue(connection, address);
      return found === "unknown" ? "unseen" : found ? "found" : "missing";
    } catch (error) {
      const isLost = isLate || replyCodeOf(error) === REPLY_CODE.INTERNAL_ERROR;
      return isLost ? "lost" : "unseen";
    } finally {
      clearTimeout(timer);
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#idle = setTimeout(() => this.#disconnect(), IDLE_MS);
      if (this.#closing.signal.aborted) clearTimeout(this.#idle);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    clearTimeout(this.#idle);
    await this.#disconnect();
  }

  #connect(broker: BrokerUrl): Promise<Connection> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason);
    // After a fail-over the old broker doesn't know the new one's addresses.
    if (this.#broker !== broker) this.#disconnect();
    this.#broker = broker;
    if (this.#connection !== undefined) return this.#connection;
    const opening = Connection.open(
      broker,
      this.#options,
      CONNECT_TIMEOUT_MS,
      this.#closing.signal,
    );
    this.#connection = opening;
    const forget = () => {
      if (this.#connection === opening) this.#connection = undefined;
    };
    opening.then((connection) => connection.gone).then(forget, forget);
    return opening;
  }

  async #disconnect(): Promise<void> {
    const opening = this.#connection;
    this.#connection = undefined;
    const connection = await opening?.catch(() => undefined);
    await connection?.close();
  }
}
