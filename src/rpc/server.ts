/**
 * The serving end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Acknowledger } from "../amqp/acknowledger.ts";
import { channelError } from "../amqp/connect_failure.ts";
import { Connection, type ConnectionState, type Session } from "../amqp/connection.ts";
import { ensureQueue, type QueueType, TransientRefused } from "../amqp/queue.ts";
import type { AMQPChannel, AMQPMessage, Transport } from "../amqp/transport.ts";
import { RpcError } from "../errors.ts";
import {
  CONTENT_TYPE_TEXT,
  DIRECT_REPLY_TO,
  encodeError,
  MAX_BODY_BYTES,
  TRANSIENT,
} from "../protocol.ts";
import type { RpcServerCodec } from "./codec.ts";
import { ReplyProbe } from "./reply_probe.ts";
import { ReceivedRequest } from "./request.ts";
import {
  resolveServerOptions,
  type RpcHandler,
  type RpcServerOptions,
  type RpcServerStats,
} from "./server_options.ts";
import { WorkQueue } from "./work_queue.ts";

const logger = getLogger(["fibrpc", "server"]);

/** How often the same kind of trouble with requests is logged, in milliseconds. */
const LOG_EVERY_MS = 10_000;

/** How a consumer is named on its channel. */
const CONSUMER_TAG = "fibrpc";

/** What a caller is told of a failure that isn't its own. */
const INTERNAL_MESSAGE = "the server failed; its log says why";

/** What requests come in on; a new one after each loss. */
interface ServerSession extends Session {
  readonly transport: Transport;
  readonly channel: AMQPChannel;
  readonly acknowledger: Acknowledger;
  /** Delivered, and neither answered nor rejected yet. */
  readonly open: Set<ReceivedRequest>;
  /** Replies that wait until the broker takes messages again. */
  readonly held: (() => void)[];
  /** Its deliveries are out of reach, and come again on another one. */
  lost: boolean;
}

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
  readonly #codec: RpcServerCodec<Request, Response>;
  readonly #handler: RpcHandler<Request, Response>;
  readonly #options: ReturnType<typeof resolveServerOptions>;
  readonly #work = new WorkQueue();
  readonly #probe: ReplyProbe;
  readonly #stats: RpcServerStats = {
    requests: 0,
    responses: 0,
    errors: 0,
    expired: 0,
    rejected: 0,
  };
  readonly #closed = Promise.withResolvers<void>();
  readonly #sessions = new Set<ServerSession>();
  #queueType: QueueType;
  #connection: Connection | undefined;
  #closing: Promise<number> | undefined;
  #onSettled: () => void = () => {};
  #rejectionLoggedAt = -Infinity;

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
    this.#codec = codec;
    this.#handler = handler;
    this.#options = resolveServerOptions(options);
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
    return { ...this.#stats };
  }

  /** How many requests it has taken and not settled. */
  get pending(): number {
    let pending = 0;
    for (const { open } of this.#sessions) pending += open.size;
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
        if (change.state === "connected") this.#releaseHeld();
        this.#options.onStateChange?.(change);
      },
    });
    await this.#connection.opened;
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
    await this.#ensureQueue(transport);
    const channel = await transport.openChannel();
    const session: ServerSession = {
      transport,
      channel,
      acknowledger: new Acknowledger(transport, channel),
      open: new Set(),
      held: [],
      lost: false,
      ended: transport.gone, // Until it consumes.
    };
    try {
      await channel.basicQos(this.#options.prefetch);
      const consumer = await channel.basicConsume(
        this.#options.queue,
        { noAck: false, tag: CONSUMER_TAG },
        (message) => this.#onRequest(session, message),
      );
      const ended = consumer.wait()
        .then(
          () => new Error("the consumer was cancelled"),
          (error: Error) => error,
        );
      Object.assign(session, { ended });
    } catch (error) {
      throw channelError(error, `can't consume ${this.#options.queue}`);
    }
    this.#sessions.add(session);
    session.ended.then(() => this.#onSessionEnd(session));
    transport.gone.then((reason) => this.#lose(session, reason));
    return session;
  }

  async #ensureQueue(transport: Transport): Promise<void> {
    const { queue } = this.#options;
    try {
      const type = await ensureQueue(transport, queue, this.#queueType);
      if (type !== "found") {
        logger.info("declared {queue} ({type})", { queue, type });
      }
    } catch (error) {
      if (!(error instanceof TransientRefused)) throw error;
      logger.warn(
        "{broker} refuses transient queues: declaring {queue} as a quorum queue",
        {
          broker: String(transport.broker),
          queue,
        },
      );
      this.#queueType = "quorum";
      throw error;
    }
  }

  /** The consumer is gone. What it delivered can still be answered while its channel lives. */
  #onSessionEnd(session: ServerSession): void {
    if (session.channel.closed) {
      this.#lose(session, new Error("the channel was closed"));
    } else this.#retireIfDone(session);
  }

  #lose(session: ServerSession, reason: Error): void {
    if (session.lost) return;
    session.lost = true;
    session.acknowledger.stop();
    for (const request of session.open) request.abort(reason);
    session.open.clear();
    this.#sessions.delete(session);
    this.#onSettled();
  }

  #onRequest(session: ServerSession, message: AMQPMessage): void {
    this.#stats.requests += 1;
    const request = new ReceivedRequest(message, session.transport.receivedAt);
    session.open.add(request);
    this.#work.push(() => this.#serve(session, request));
  }

  #serve(session: ServerSession, request: ReceivedRequest): void {
    if (session.lost) return;
    const trouble = request.unanswerable(this.#options.queue);
    if (trouble !== undefined) {
      this.#reject(session, request.message.deliveryTag, trouble);
      this.#settle(session, request);
      return;
    }
    if (request.expired) {
      this.#stats.expired += 1;
      session.acknowledger.ack(request.message.deliveryTag);
      this.#settle(session, request);
      return;
    }
    if (request.redelivered && request.message.properties.replyTo!.startsWith(DIRECT_REPLY_TO)) {
      // It may be what cost the connection it came by before.
      this.#startIfHeard(session, request);
    } else {
      this.#start(session, request);
    }
  }

  async #startIfHeard(session: ServerSession, request: ReceivedRequest): Promise<void> {
    const { replyTo } = request.message.properties;
    const isHeard = await this.#probe.check(session.transport.broker, replyTo!);
    if (session.lost) return;
    if (isHeard === false) {
      this.#reject(session, request.message.deliveryTag, "nobody listens at its reply_to");
      this.#settle(session, request);
    } else {
      this.#work.push(() => this.#start(session, request));
    }
  }

  #start(session: ServerSession, request: ReceivedRequest): void {
    if (session.lost) return;
    try {
      const body = request.message.body ?? new Uint8Array();
      const result = this.#handler(this.#codec.decodeRequest(body), request);
      if (result instanceof Promise) {
        result.then(
          (response) => this.#respond(session, request, response),
          (error) => this.#respondError(session, request, error),
        );
      } else {
        this.#respond(session, request, result);
      }
    } catch (error) {
      this.#respondError(session, request, error);
    }
  }

  #respond(
    session: ServerSession,
    request: ReceivedRequest,
    response: Response,
  ): void {
    let body: string | Uint8Array;
    try {
      body = this.#codec.encodeResponse(response);
      checkSize(body);
    } catch (error) {
      this.#respondError(session, request, error);
      return;
    }
    this.#stats.responses += 1;
    this.#reply(session, request, body, {
      contentType: CONTENT_TYPE_TEXT,
      deliveryMode: TRANSIENT,
    });
  }

  #respondError(
    session: ServerSession,
    request: ReceivedRequest,
    thrown: unknown,
  ): void {
    if (!(thrown instanceof RpcError)) {
      logger.error("a handler failed: {error}", { error: stackOf(thrown) });
    }
    const error = RpcError.from(thrown, "internal", INTERNAL_MESSAGE);
    const { body, properties } = encodeError(error);
    this.#stats.errors += 1;
    this.#reply(session, request, body, properties);
  }

  #reply(
    session: ServerSession,
    request: ReceivedRequest,
    body: string | Uint8Array,
    properties: Parameters<AMQPChannel["basicPublish"]>[3],
  ): void {
    if (session.lost) return; // It is delivered again, here or elsewhere.
    if (session.transport.blocked !== undefined) {
      session.held.push(() => this.#reply(session, request, body, properties));
      return;
    }
    const { replyTo, correlationId } = request.message.properties;
    session.channel
      .basicPublish("", replyTo!, body, {
        ...properties,
        correlationId: correlationId!,
      })
      .catch((error) => logger.error("a reply could not be sent: {error}", { error }));
    session.acknowledger.ack(request.message.deliveryTag);
    this.#settle(session, request);
  }

  #releaseHeld(): void {
    for (const session of this.#sessions) {
      for (const send of session.held.splice(0)) {
        send();
      }
    }
  }

  #reject(session: ServerSession, tag: number, reason: string): void {
    this.#stats.rejected += 1;
    session.acknowledger.reject(tag, false);
    const now = performance.now();
    if (now - this.#rejectionLoggedAt < LOG_EVERY_MS) return;
    this.#rejectionLoggedAt = now;
    logger.warn(
      "rejected a request that can't be answered ({rejected} so far): {reason}",
      {
        rejected: this.#stats.rejected,
        reason,
      },
    );
  }

  #settle(session: ServerSession, request: ReceivedRequest): void {
    request.release();
    session.open.delete(request);
    this.#retireIfDone(session);
    this.#onSettled();
  }

  /** Closes the channel of a consumer that is gone, when its last request is answered. */
  #retireIfDone(session: ServerSession): void {
    const consuming = session.channel.consumers.has(CONSUMER_TAG);
    if (consuming || session.open.size > 0 || session.lost || this.#closing) {
      return;
    }
    session.transport.flush();
    this.#lose(session, new Error("done"));
    session.channel.close().catch(() => {}); // Its connection is gone: so is it.
  }

  async #drain(): Promise<number> {
    const started = performance.now();
    logger.info("draining: {pending} requests under way", {
      pending: this.pending,
    });
    for (const { channel } of this.#sessions) {
      channel.basicCancel(CONSUMER_TAG).then(() => this.#onSettled(), () => {});
    }
    await this.#drained(started + this.#options.drainTimeoutMs);
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
        for (const { open, channel } of this.#sessions) {
          if (open.size > 0 || channel.consumers.has(CONSUMER_TAG)) return;
        }
        clearTimeout(timer);
        resolve();
      };
      this.#onSettled();
    });
  }
}

/** Refuses a body that would cost the channel instead of reaching the caller. */
function checkSize(body: string | Uint8Array): void {
  // A string's UTF-8 is at most three times as long: mostly no need to encode it.
  if (body.length * 3 <= MAX_BODY_BYTES) return;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
  if (bytes <= MAX_BODY_BYTES) return;
  throw new RpcError(
    "resource_exhausted",
    `the result of ${bytes} bytes is over the message limit of ${MAX_BODY_BYTES} bytes`,
  );
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.stack ?? String(thrown) : String(thrown);
}
