/**
 * One queue that a server consumes: declared, consumed again after each loss,
 * and drained at the end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Consumer } from "../../amqp/channel.ts";
import type { Connection } from "../../amqp/connection.ts";
import { channelError, REPLY_CODE, replyCodeOf } from "../../amqp/failure.ts";
import type { Delivery } from "../../amqp/message.ts";
import { ensureQueue, type QueueType, TransientRefused } from "../../amqp/queue.ts";
import { SUSPECTS_SUFFIX } from "../../protocol/names.ts";
import { pause } from "../../time.ts";
import type { ServedService } from "../service.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { RpcHandler } from "./handler.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import type { ServerCounters, ServerObserver } from "./observer.ts";
import type { ResolvedServeOptions } from "./options.ts";
import { OwnLosses } from "./quarantine/own_losses.ts";
import { Quarantine } from "./quarantine/quarantine.ts";
import { ReplyGuard } from "./reply_to/reply_guard.ts";
import type { ReplyProbe } from "./reply_to/reply_probe.ts";
import type { ReceivedRequest } from "./request.ts";
import { RequestChannel } from "./request_channel.ts";
import { RequestScheduler } from "./scheduler.ts";

const logger = getLogger(["fibrpc", "server"]);

/**
 * How long a queue is left alone whose consumer was cancelled, in milliseconds:
 * RabbitMQ cancels the consumers of a quorum queue before it has deleted it, and
 * may close the connection (541) of who consumes it in between.
 */
const DELETION_MS = 100;

/** How often a queue that vanishes is looked for on one connection. */
const ATTEMPTS = 5;

/** The consumer's name on its channel. */
const CONSUMER_TAG = "fibrpc";

/** What all queues of a server share. */
export interface ServedQueueOwner {
  readonly maxMessageBytes: number;
  readonly ownQueues: ReadonlySet<string>;
  readonly counters: ServerCounters;
  readonly observer: Required<ServerObserver>;
  readonly interceptors: readonly ServerInterceptor[];
  /** Looks whether callers are there. */
  readonly probe: ReplyProbe;
  /** Its connection is lost to whoever makes up addresses: it looks for nothing else. */
  readonly guardProbe: ReplyProbe;
  readonly signal: AbortSignal;
  /** Is called whenever there is one open request less. */
  readonly onSettled: () => void;
}

/** One queue that a server consumes, at present. */
export interface QueueStatus {
  /** Its name. */
  readonly queue: string;
  /** How many requests the broker hands out before it waits for replies. */
  readonly prefetch: number;
  /** How many handlers run at the same time, at most. */
  readonly concurrency: number;
  /** How many requests it has taken and not settled. */
  readonly pending: number;
  /** Whether the broker delivers its requests. */
  readonly isConsuming: boolean;
}

export class ServedQueue {
  readonly #queue: string;
  readonly #options: ResolvedServeOptions;
  readonly #owner: ServedQueueOwner;
  readonly #dispatcher: Pick<
    Dispatcher<unknown, unknown>,
    "admit" | "countReturned" | "giveUp" | "learn" | "overrunMs" | "serve" | "startOn"
  >;
  readonly #scheduler: RequestScheduler;
  readonly #guard: ReplyGuard;
  /** The requests that this server lost with a connection, and that come back. */
  readonly #losses: OwnLosses;
  readonly #quarantine: Quarantine | undefined;
  /** All that may still hold requests: after a consumer is lost, its channel's too. */
  readonly #channels = new Set<RequestChannel>();
  readonly #consumers = new Map<RequestChannel, Consumer>();
  #connection: Connection | undefined;
  #consumer: Consumer | undefined;
  #queueType: QueueType;
  #isStopped = false;

  constructor(
    service: ServedService<unknown, unknown>,
    handler: RpcHandler<unknown, unknown>,
    options: ResolvedServeOptions,
    owner: ServedQueueOwner,
  ) {
    this.#queue = service.queue;
    this.#options = options;
    this.#owner = owner;
    this.#queueType = options.queueType;
    this.#scheduler = new RequestScheduler(options.concurrency);
    this.#guard = new ReplyGuard({
      look: (broker, address) => owner.guardProbe.look(broker, address),
      prefetch: options.prefetch,
    });
    this.#dispatcher = new Dispatcher({
      ...options,
      ...owner,
      service,
      handler,
      checkReplyTo: (replyTo) => this.#guard.check(replyTo),
    });
    this.#losses = new OwnLosses(2 * options.prefetch);
    if (options.quarantine) this.#quarantine = this.#makeQuarantine();
  }

  /** Whether the broker delivers its requests. */
  get isConsuming(): boolean {
    return this.#consumer?.isActive === true;
  }

  /** What is known of it outside. */
  get status(): QueueStatus {
    const { prefetch, concurrency } = this.#options;
    const { pending, isConsuming } = this;
    return { queue: this.#queue, prefetch, concurrency, pending, isConsuming };
  }

  get overrunMs(): number {
    return this.#dispatcher.overrunMs;
  }

  get pending(): number {
    let pending = 0;
    for (const { open } of this.#channels) pending += open.size;
    return pending;
  }

  /**
   * Consumes, unless it does already.
   *
   * @param replyAddress A direct reply-to address of the broker's, if it gives any.
   * @throws {RpcError} `permission_denied` if this user may not.
   */
  async setUp(connection: Connection, replyAddress: string | undefined): Promise<Consumer> {
    if (this.#connection === connection && this.#consumer?.isActive) return this.#consumer;
    let mayBeDeleted = this.#connection === connection;
    if (!mayBeDeleted) this.#guard.startOn(connection.broker, replyAddress);
    this.#dispatcher.startOn(connection);
    for (let attempt = 1;; attempt++) {
      if (mayBeDeleted) await pause(DELETION_MS, this.#owner.signal);
      await this.#ensureQueue(connection);
      if (this.#connection !== connection) {
        this.#connection = connection;
        this.#quarantine?.startOn(connection);
      }
      try {
        this.#consumer = await this.#consume(connection);
        return this.#consumer;
      } catch (error) {
        // It was deleted between the look at it and its consumption.
        if (attempt === ATTEMPTS || replyCodeOf(error) !== REPLY_CODE.NOT_FOUND) throw error;
        mayBeDeleted = true;
      }
    }
  }

  async #consume(connection: Connection): Promise<Consumer> {
    const requests = await this.#openChannel(connection, () => this.#closeIfUnused(requests));
    try {
      await requests.channel.qos(this.#options.prefetch);
      const consumer = await requests.channel.consume(
        this.#queue,
        { noAck: false, tag: CONSUMER_TAG },
        (message) => this.#onRequest(requests, message),
      );
      this.#consumers.set(requests, consumer);
      consumer.ended.then(() => this.#closeIfUnused(requests));
      return consumer;
    } catch (error) {
      requests.close();
      throw channelError(error, `can't consume ${this.#queue}`);
    }
  }

  async #ensureQueue(connection: Connection): Promise<void> {
    const queue = this.#queue;
    try {
      const type = await ensureQueue(connection, queue, this.#queueType);
      if (type !== "found") logger.info("declared {queue} ({type})", { queue, type });
    } catch (error) {
      if (error instanceof TransientRefused) {
        const broker = String(connection.broker);
        const text = "{broker} refuses transient queues: declaring {queue} as a quorum queue";
        logger.warn(text, { broker, queue });
        this.#queueType = "quorum";
      }
      throw error;
    }
  }

  #makeQuarantine(): Quarantine {
    const { queueType, prefetch, maxAttempts } = this.#options;
    return new Quarantine({
      queue: this.#queue + SUSPECTS_SUFFIX,
      // Durable at least: a broker that refuses transient queues would close the connection.
      queueType: queueType === "transient" ? "classic" : queueType,
      prefetch,
      maxAttempts,
      losses: this.#losses,
      openRequestChannel: (connection, onSettled) => this.#openChannel(connection, onSettled),
      admit: (request, begin) => this.#admit(request, begin),
      serve: (request) => this.#scheduler.push(() => this.#dispatcher.serve(request)),
      alone: (task) => this.#scheduler.alone(task),
      serveAlone: async (request) => await this.#dispatcher.serve(request),
      giveUp: (request) => this.#dispatcher.giveUp(request),
    });
  }

  async #openChannel(connection: Connection, onSettled: () => void): Promise<RequestChannel> {
    const { probe, observer, onSettled: onAnySettled } = this.#owner;
    const channel = await connection.openChannel();
    const requests = new RequestChannel(connection, channel, {
      queue: this.#queue,
      probe,
      losses: this.#losses,
      observer,
      onSettled: () => {
        if (requests.lost === undefined) {
          onSettled();
        } else {
          this.#consumers.delete(requests);
          this.#channels.delete(requests);
          this.#dispatcher.learn(requests.lost);
        }
        onAnySettled();
      },
    });
    channel.onReturn(({ routingKey }) => this.#dispatcher.countReturned(routingKey));
    this.#channels.add(requests);
    return requests;
  }

  /** A channel whose consumer is gone is closed when its last request is answered. */
  #closeIfUnused(requests: RequestChannel): void {
    const isUsed = requests.open.size > 0 || this.#consumers.get(requests)?.isActive !== false;
    if (!isUsed && !this.#isStopped) requests.close();
  }

  #onRequest(requests: RequestChannel, message: Delivery): void {
    const request = requests.take(message);
    this.#admit(request, () => this.#begin(request));
  }

  /** Begins what can be answered; its reply address may have to be looked at first. */
  #admit(request: ReceivedRequest, begin: () => void): void {
    const isAdmitted = this.#dispatcher.admit(request);
    if (isAdmitted === true) begin();
    else if (isAdmitted !== false) isAdmitted.then((canBegin) => canBegin && begin());
  }

  #begin(request: ReceivedRequest): void {
    if (!request.redelivered || this.#quarantine === undefined || this.#losses.has(request)) {
      this.#scheduler.push(() => this.#dispatcher.serve(request));
    } else {
      this.#quarantine.add(request); // It was in the hands of a server that died, or lost its connection.
    }
  }

  /** Starts no redelivered request any more; the connection may still be set up. */
  stop(): void {
    this.#isStopped = true;
    this.#quarantine?.stop();
  }

  async cancel(): Promise<void> {
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.cancel()));
  }

  /** Leaves what waits for a look at its reply address unanswered. */
  close(): void {
    this.#guard.close();
  }
}
