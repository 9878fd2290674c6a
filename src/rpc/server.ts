/**
 * The serving end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../amqp/backoff.ts";
import { channelError } from "../amqp/connect_failure.ts";
import { Connection, type ConnectionState, type Session } from "../amqp/connection.ts";
import { ensureQueue, type QueueType, TransientRefused } from "../amqp/queue.ts";
import type { AMQPMessage, Transport } from "../amqp/transport.ts";
import { RpcError } from "../errors.ts";
import { SUSPECTS_SUFFIX } from "../protocol.ts";
import type { RpcServerCodec } from "./codec.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Inbox } from "./inbox.ts";
import { ensureReplyPermission } from "./reply_permission.ts";
import { ReplyProbe } from "./reply_probe.ts";
import type { ReceivedRequest } from "./request.ts";
import {
  type ResolvedServerOptions,
  resolveServerOptions,
  type RpcHandler,
  type RpcServerOptions,
  type RpcServerStats,
} from "./server_options.ts";
import { SuspectLane } from "./suspect_lane.ts";
import { WorkQueue } from "./work_queue.ts";

const logger = getLogger(["fibrpc", "server"]);

/** How long a closed channel for suspects is left closed, in milliseconds. */
const LANE_RETRY_MS = 1_000;

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
  readonly #dispatcher: Dispatcher<Request, Response>;
  readonly #options: ResolvedServerOptions;
  readonly #work = new WorkQueue();
  readonly #probe: ReplyProbe;
  readonly #closed = Promise.withResolvers<void>();
  /** All that may still hold requests: after a consumer is lost, its channel's too. */
  readonly #inboxes = new Set<Inbox>();
  #lane: SuspectLane | undefined;
  readonly #ending = new AbortController();
  #repliesEnsured = false;
  #queueType: QueueType;
  #connection: Connection | undefined;
  #closing: Promise<number> | undefined;
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
    this.#dispatcher = new Dispatcher(codec, handler, this.#options);
    this.#queueType = this.#options.queueType;
    this.closed = this.#closed.promise;
    this.#probe = new ReplyProbe(this.#options);
  }

  /** The state of the connection; `idle` before the start. */
  get state(): ConnectionState | "idle" {
    return this.#closing !== undefined ? "closed" : this.#connection?.state ?? "idle";
  }

  /** The broker in use, as `host:port`; `undefined` before the start. */
  get broker(): string | undefined {
    return this.#connection?.broker.toString();
  }

  /** What this server has done so far. */
  get stats(): Readonly<RpcServerStats> {
    return { ...this.#dispatcher.stats };
  }

  /** How many requests it has taken and not settled. */
  get pending(): number {
    let pending = 0;
    for (const { open } of this.#inboxes) pending += open.size;
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
    this.#connection ??= new Connection({
      ...this.#options,
      establish: (transport) => this.#establish(transport),
      onStateChange: (change) => {
        if (change.state === "connected") {
          for (const inbox of this.#inboxes) inbox.releaseHeld();
        }
        this.#options.onStateChange?.(change);
      },
    });
    await this.#connection.open();
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

  async #establish(transport: Transport): Promise<Session> {
    if (this.#closing !== undefined) return { ended: new Promise(() => {}) };
    const { queue, prefetch } = this.#options;
    this.#dispatcher.startOn(transport);
    await this.#ensureReplies(transport);
    await this.#ensureQueue(transport);
    if (this.#lane?.inbox.transport !== transport) await this.#openLane(transport);
    const channel = await transport.openChannel();
    const inbox = new Inbox(
      transport,
      channel,
      this.#probe,
      () => this.#onInboxSettled(inbox),
    );
    try {
      await channel.basicQos(prefetch);
      const consumer = await channel.basicConsume(
        queue,
        { noAck: false, tag: CONSUMER_TAG },
        (message) => this.#onRequest(inbox, message),
      );
      this.#inboxes.add(inbox);
      const ended = consumer.wait()
        .then(() => new Error("the consumer was cancelled"), (error: Error) => error);
      ended.then((reason) => {
        if (channel.closed) inbox.lose(reason);
        else this.#onInboxSettled(inbox);
      });
      return { ended };
    } catch (error) {
      inbox.lose(new Error("it never consumed"));
      throw channelError(error, `can't consume ${queue}`);
    }
  }

  /** Once: if that changes later, a reply costs its channel, and the log says why. */
  async #ensureReplies({ broker }: Transport): Promise<void> {
    if (this.#repliesEnsured) return;
    const { connectTimeoutMs } = this.#options;
    await ensureReplyPermission(broker, this.#options, connectTimeoutMs, this.#ending.signal);
    this.#repliesEnsured = true;
  }

  async #ensureQueue(transport: Transport): Promise<void> {
    const { queue } = this.#options;
    try {
      const type = await ensureQueue(transport, queue, this.#queueType);
      if (type !== "found") logger.info("declared {queue} ({type})", { queue, type });
    } catch (error) {
      if (error instanceof TransientRefused) {
        const broker = String(transport.broker);
        const text = "{broker} refuses transient queues: declaring {queue} as a quorum queue";
        logger.warn(text, { broker, queue });
        this.#queueType = "quorum";
      }
      throw error;
    }
  }

  async #openLane(transport: Transport): Promise<void> {
    this.#lane = await SuspectLane.open(transport, {
      queue: this.#options.queue + SUSPECTS_SUFFIX,
      // Durable at least: a broker that refuses transient queues would close the connection.
      queueType: this.#queueType === "transient" ? "classic" : this.#queueType,
      maxStarts: this.#options.maxAttempts - 1,
      probe: this.#probe,
      alone: (task) => this.#work.alone(task),
      serve: (request) => this.#dispatcher.serveSuspect(request),
      giveUp: (request) => this.#dispatcher.giveUp(request),
      onSettled: (inbox) => this.#onLaneSettled(inbox),
      onEnd: (inbox) => this.#onLaneEnd(inbox),
    });
    this.#inboxes.add(this.#lane.inbox);
  }

  #onLaneSettled(inbox: Inbox): void {
    if (inbox.lost !== undefined) this.#onLost(inbox, inbox.lost);
    this.#onSettled();
  }

  /** Its channel was closed: another one is needed, unless the connection is gone as well. */
  async #onLaneEnd({ transport }: Inbox): Promise<void> {
    await pause(LANE_RETRY_MS, this.#ending.signal);
    if (this.#closing !== undefined || transport.closed) return;
    await this.#openLane(transport).catch(() => {}); // The connection is gone.
  }

  /** A channel whose consumer is gone is closed when its last request is answered. */
  #onInboxSettled(inbox: Inbox): void {
    if (inbox.lost !== undefined) {
      this.#onLost(inbox, inbox.lost);
    } else if (inbox.open.size === 0 && !inbox.channel.consumers.has(CONSUMER_TAG)) {
      if (this.#closing === undefined) inbox.close();
    }
    this.#onSettled();
  }

  #onLost(inbox: Inbox, reason: Error): void {
    this.#inboxes.delete(inbox);
    this.#dispatcher.learn(reason);
  }

  #onRequest(inbox: Inbox, message: AMQPMessage): void {
    this.#dispatcher.stats.requests += 1;
    const request = inbox.take(message);
    if (message.redelivered) this.#suspect(request);
    else this.#work.push(() => this.#dispatcher.serve(request));
  }

  /** It was in the hands of a server that died, or lost its connection. */
  async #suspect(request: ReceivedRequest): Promise<void> {
    const isMoved = await this.#lane?.move(request) ?? false;
    if (!isMoved && !request.inbox.isLost) await this.#dispatcher.serveSuspect(request);
  }

  async #drain(): Promise<number> {
    const end = performance.now() + this.#options.drainTimeoutMs;
    this.#ending.abort();
    this.#lane?.stop();
    for (const { channel } of this.#inboxes) {
      if (!channel.consumers.has(CONSUMER_TAG)) continue;
      channel.basicCancel(CONSUMER_TAG).then(() => this.#onSettled(), () => {});
    }
    await this.#drained(end);
    const unanswered = this.pending;
    await Promise.all([this.#connection?.close(), this.#probe.close()]);
    this.#closed.resolve();
    return unanswered;
  }

  /** Resolves when no request is open and no more can come, or at `end`. */
  #drained(end: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, end - performance.now());
      this.#onSettled = () => {
        for (const { open, channel } of this.#inboxes) {
          if (open.size > 0 || channel.consumers.has(CONSUMER_TAG)) return;
        }
        clearTimeout(timer);
        resolve();
      };
      this.#onSettled();
    });
  }
}
