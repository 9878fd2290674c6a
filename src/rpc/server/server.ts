/**
 * The serving end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../../time.ts";
import { SUSPECTS_SUFFIX } from "../../protocol/names.ts";
import type { Consumer } from "../../amqp/channel.ts";
import { channelError } from "../../amqp/failure.ts";
import { type ConnectionState, ConnectionSupervisor, type Session } from "../../amqp/supervisor.ts";
import { ensureQueue, type QueueType, TransientRefused } from "../../amqp/queue.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery } from "../../amqp/message.ts";
import { RpcError } from "../../errors.ts";
import type { RpcServerCodec } from "../codec.ts";
import { Dispatcher } from "./dispatcher.ts";
import { RequestChannel } from "./request_channel.ts";
import { OwnLosses } from "./quarantine/own_losses.ts";
import { ensureReplyPermission } from "./reply_to/reply_permission.ts";
import { ReplyGuard } from "./reply_to/reply_guard.ts";
import { ReplyProbe } from "./reply_to/reply_probe.ts";
import { type RpcServerStats, ServerCounters } from "./observer.ts";
import type { ReceivedRequest } from "./request.ts";
import {
  type ResolvedServerOptions,
  resolveServerOptions,
  type RpcHandler,
  type RpcServerOptions,
} from "./options.ts";
import { Quarantine } from "./quarantine/quarantine.ts";
import { RequestScheduler } from "./scheduler.ts";

const logger = getLogger(["fibrpc", "server"]);

/** How long a drain waits until the broker confirms that no request comes any more, in milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;

/** How the consumer is named on its channel. */
const CONSUMER_TAG = "fibrpc";

/**
 * Serves requests from a queue: hands each to a handler, sends its result to
 * the request's `reply_to`, then acknowledges it. A server that dies in
 * between leaves the request to another one.
 *
 * @example A service of one's own
 * ```ts
 * import { RpcServer, type RpcServerCodec } from "@fibrpc/fibrpc";
 *
 * export async function serve(codec: RpcServerCodec<string, number>): Promise<void> {
 *   await using server = new RpcServer(codec, (text) => text.length, { queue: "my_service" });
 *   await server.start();
 *   await server.closed;
 * }
 * ```
 */
export class RpcServer<Request, Response> implements AsyncDisposable {
  /** Resolves when the server was closed. */
  readonly closed: Promise<void>;
  readonly #counters = new ServerCounters();
  readonly #dispatcher: Dispatcher<Request, Response>;
  readonly #options: ResolvedServerOptions;
  readonly #work = new RequestScheduler();
  readonly #probe: ReplyProbe;
  /** Its connection is lost to whoever makes up addresses: it looks for nothing else. */
  readonly #guardProbe: ReplyProbe;
  readonly #guard: ReplyGuard;
  readonly #closed = Promise.withResolvers<void>();
  /** All that may still hold requests: after a consumer is lost, its channel's too. */
  readonly #requestChannels = new Set<RequestChannel>();
  readonly #consumers = new Map<RequestChannel, Consumer>();
  /** The requests that it lost with a connection, and that come back. */
  readonly #losses: OwnLosses;
  readonly #quarantine: Quarantine | undefined;
  readonly #ending = new AbortController();
  /** Where replies were seen to be permitted. */
  #repliesEnsuredOn: Connection | undefined;
  #quarantinedOn: Connection | undefined;
  #queueType: QueueType;
  #supervisor: ConnectionSupervisor | undefined;
  #establishing: Promise<unknown> = Promise.resolve();
  #closing: Promise<number> | undefined;
  #isClosed = false;
  #onSettled: () => void = () => {};

  /**
   * Makes a server; {@linkcode RpcServer.start} starts it.
   *
   * @param codec What the bodies mean.
   * @param handler Computes the responses.
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(
    codec: RpcServerCodec<Request, Response>,
    handler: RpcHandler<Request, Response>,
    options: RpcServerOptions = {},
  ) {
    this.#options = resolveServerOptions(options);
    this.#guardProbe = new ReplyProbe(this.#options);
    this.#guard = new ReplyGuard({
      look: (broker, address) => this.#guardProbe.look(broker, address),
      prefetch: this.#options.prefetch,
    });
    const checkReplyTo = (replyTo: string) => this.#guard.check(replyTo);
    this.#dispatcher = new Dispatcher(codec, handler, this.#options, this.#counters, checkReplyTo);
    this.#queueType = this.#options.queueType;
    this.closed = this.#closed.promise;
    this.#probe = new ReplyProbe(this.#options);
    this.#losses = new OwnLosses(2 * this.#options.prefetch);
    if (this.#options.quarantine) this.#quarantine = this.#makeQuarantine();
  }

  /** The state of the connection; `idle` before the start. */
  get state(): ConnectionState | "idle" {
    if (this.#closing !== undefined) return this.#isClosed ? "closed" : "draining";
    const state = this.#supervisor?.state ?? "idle";
    return state === "closed" ? "idle" : state;
  }

  /** The broker in use, as `host:port`; `undefined` before the start. */
  get broker(): string | undefined {
    return this.#supervisor?.broker.toString();
  }

  /** What this server has done so far. */
  get stats(): Readonly<RpcServerStats> {
    return { ...this.#counters.stats };
  }

  /** How many requests it has taken and not settled. */
  get pending(): number {
    let pending = 0;
    for (const { open } of this.#requestChannels) pending += open.size;
    return pending;
  }

  /**
   * Connects and consumes; it resolves once requests are taken, and goes on
   * trying while the broker is away. From then on it comes back by itself
   * after every loss.
   *
   * @throws {RpcError} `unauthenticated`, `permission_denied`, or `unavailable`
   * for a certificate that isn't trusted: the broker is there and refuses.
   */
  async start(): Promise<void> {
    if (this.#closing !== undefined) {
      throw new RpcError("cancelled", "the server was closed");
    }
    this.#supervisor ??= new ConnectionSupervisor({
      ...this.#options,
      establish: (connection) => {
        const establishing = this.#establish(connection);
        this.#establishing = establishing.catch(() => {}); // The connection acts on it.
        return establishing;
      },
    });
    await this.#supervisor.open();
  }

  /**
   * Takes no more requests, answers those under way, then disconnects.
   *
   * @returns How many requests went back to the queue unanswered because
   * `drainTimeoutMs` passed: 0 after a clean drain.
   */
  close(): Promise<number> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  /** The same as {@linkcode RpcServer.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #establish(connection: Connection): Promise<Session> {
    const { queue, prefetch } = this.#options;
    this.#dispatcher.startOn(connection);
    await this.#ensureReplies(connection);
    await this.#ensureQueue(connection);
    if (this.#quarantinedOn !== connection) {
      this.#quarantinedOn = connection;
      this.#quarantine?.startOn(connection);
    }
    const requests = await this.#openRequestChannel(
      connection,
      () => this.#closeIfUnused(requests),
    );
    try {
      await requests.channel.qos(prefetch);
      const consumer = await requests.channel.consume(
        queue,
        { noAck: false, tag: CONSUMER_TAG },
        (message) => this.#onRequest(requests, message),
      );
      this.#consumers.set(requests, consumer);
      consumer.ended.then(() => this.#closeIfUnused(requests));
      return consumer;
    } catch (error) {
      requests.close();
      throw channelError(error, `can't consume ${queue}`);
    }
  }

  /** Once for a connection: if that changes later, a reply costs its channel, and the log says why. */
  async #ensureReplies(connection: Connection): Promise<void> {
    if (this.#repliesEnsuredOn === connection) return;
    const { broker } = connection;
    const timeoutMs = this.#options.connectTimeoutMs / 3; // The rest is the other steps'.
    const { signal } = this.#ending;
    const address = await ensureReplyPermission(broker, this.#options, timeoutMs, signal);
    this.#guard.startOn(broker, address);
    this.#repliesEnsuredOn = connection;
  }

  async #ensureQueue(connection: Connection): Promise<void> {
    const { queue } = this.#options;
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
    const { queue, queueType, prefetch, maxAttempts } = this.#options;
    return new Quarantine({
      queue: queue + SUSPECTS_SUFFIX,
      // Durable at least: a broker that refuses transient queues would close the connection.
      queueType: queueType === "transient" ? "classic" : queueType,
      prefetch,
      maxAttempts,
      losses: this.#losses,
      openRequestChannel: (connection, onSettled) =>
        this.#openRequestChannel(connection, onSettled),
      admit: (request, begin) => this.#admit(request, begin),
      serve: (request) => this.#work.push(() => this.#dispatcher.serve(request)),
      alone: (task) => this.#work.alone(task),
      serveAlone: async (request) => await this.#dispatcher.serve(request),
      giveUp: (request) => this.#dispatcher.giveUp(request),
    });
  }

  async #openRequestChannel(
    connection: Connection,
    onSettled: () => void,
  ): Promise<RequestChannel> {
    const channel = await connection.openChannel();
    const requests = new RequestChannel(
      connection,
      channel,
      this.#probe,
      this.#losses,
      this.#counters,
      () => {
        if (requests.lost === undefined) {
          onSettled();
        } else {
          this.#consumers.delete(requests);
          this.#requestChannels.delete(requests);
          this.#dispatcher.learn(requests.lost);
        }
        this.#onSettled();
      },
    );
    channel.onReturn(({ routingKey }) => this.#dispatcher.countReturned(routingKey));
    this.#requestChannels.add(requests);
    return requests;
  }

  /** A channel whose consumer is gone is closed when its last request is answered. */
  #closeIfUnused(requests: RequestChannel): void {
    const isUsed = requests.open.size > 0 || this.#consumers.get(requests)?.isActive !== false;
    if (!isUsed && this.#closing === undefined) requests.close();
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
      this.#work.push(() => this.#dispatcher.serve(request));
    } else {
      this.#quarantine.add(request); // It was in the hands of a server that died, or lost its connection.
    }
  }

  async #drain(): Promise<number> {
    const end = performance.now() + this.#options.drainTimeoutMs;
    this.#ending.abort();
    this.#quarantine?.stop();
    this.#supervisor?.drain();
    await within(CANCEL_TIMEOUT_MS, this.#cancelConsumers());
    await within(end - performance.now(), this.#answered());
    const unanswered = this.pending;
    this.#guard.close();
    await Promise.all([
      this.#supervisor?.close(),
      this.#probe.close(),
      this.#guardProbe.close(),
    ]);
    this.#isClosed = true;
    this.#closed.resolve();
    return unanswered;
  }

  async #cancelConsumers(): Promise<void> {
    await this.#establishing;
    await Promise.all([...this.#consumers.values()].map((consumer) => consumer.cancel()));
  }

  /** Resolves when no request is open. */
  #answered(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = () => {
        if (this.pending === 0) resolve();
      };
      this.#onSettled();
    });
  }
}

/** Resolves with `promise`, or when so many milliseconds have passed. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([promise, pause(ms, over.signal)]);
  over.abort();
}
