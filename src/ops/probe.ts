/**
 * One look at a broker and its request queues, with times: what `status` says,
 * `doctor` judges and a benchmark begins with.
 *
 * @module
 */
import type { BrokerUrl } from "../amqp/broker_url.ts";
import { Connection, type ConnectionOptions } from "../amqp/connection.ts";
import { type ConnectFailure, connectFailure, mostTelling } from "../amqp/failure.ts";
import { inspectQueue, type QueueInspection } from "../amqp/queue.ts";
import type { ManagedQueue } from "./management.ts";
import { SUSPECTS_SUFFIX } from "../protocol/names.ts";
import { settledWithin } from "../time.ts";

/** A request queue, and the records beside it. */
export interface QueueProbe {
  readonly queue: string;
  readonly requests: QueueInspection;
  readonly suspects: QueueInspection;
  /** What only the management API knows, if that was asked. */
  readonly managed?: ManagedQueue | undefined;
}

/** What a broker says of itself, and how long it took. */
export interface BrokerProbe {
  readonly broker: string;
  /** Such as `RabbitMQ 4.3.6`. */
  readonly product: string | undefined;
  readonly clusterName: string | undefined;
  /** From the name to the open connection, in milliseconds. */
  readonly connectMs: number;
  /** A round trip on the open connection, in milliseconds. */
  readonly roundTripMs: number;
}

/** A look at a missing queue is an error in the broker's log, so it is rare, in milliseconds. */
const MISSING_MS = 60_000;

/** Looks at one broker as often as it is asked. */
export class Probe implements AsyncDisposable {
  readonly connection: Connection;
  /** From the name to the open connection, in milliseconds. */
  readonly connectMs: number;
  readonly #missingAt = new Map<string, number>();

  private constructor(connection: Connection, connectMs: number) {
    this.connection = connection;
    this.connectMs = connectMs;
  }

  /**
   * Connects to the first of several brokers that can be had.
   *
   * @param timeoutMs For all of them together, in milliseconds.
   * @throws {ConnectFailure} If none could be had.
   */
  static async open(
    brokers: readonly BrokerUrl[],
    options: ConnectionOptions,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Probe> {
    const end = performance.now() + timeoutMs;
    const failures: ConnectFailure[] = [];
    for (const [index, broker] of brokers.entries()) {
      const start = performance.now();
      const shareMs = Math.max((end - start) / (brokers.length - index), 1);
      try {
        const connection = await Connection.open(broker, options, shareMs, signal);
        return new Probe(connection, performance.now() - start);
      } catch (error) {
        failures.push(connectFailure(broker, error));
      }
    }
    throw mostTelling(failures);
  }

  /** The broker that it has found. */
  get url(): BrokerUrl {
    return this.connection.broker;
  }

  async broker(): Promise<BrokerProbe> {
    const { broker, product, brokerInfo: { clusterName } } = this.connection;
    return {
      broker: String(broker),
      product,
      clusterName,
      connectMs: this.connectMs,
      roundTripMs: await this.roundTrip(),
    };
  }

  /** The median of so many round trips, in milliseconds. */
  async roundTrip(count = 1): Promise<number> {
    const channel = await this.connection.openChannel();
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      await channel.qos(1); // It costs the broker nothing, and it answers.
      times.push(performance.now() - start);
    }
    channel.close();
    return times.sort((a, b) => a - b)[count >> 1]!;
  }

  /** Looks at a request queue; its records only if it is there. */
  async queue(queue: string): Promise<QueueProbe> {
    const requests = await this.inspect(queue);
    const suspects = await this.inspect(queue + SUSPECTS_SUFFIX);
    return { queue, requests, suspects };
  }

  /** Looks at any queue. */
  async inspect(queue: string): Promise<QueueInspection> {
    const now = performance.now();
    if (now - (this.#missingAt.get(queue) ?? -Infinity) < MISSING_MS) return { found: false };
    this.#missingAt.delete(queue);
    const found = await inspectQueue(this.connection, queue);
    if (!found.found) this.#missingAt.set(queue, now);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await settledWithin(1_000, this.connection.close());
  }
}
