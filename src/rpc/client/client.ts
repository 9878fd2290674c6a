/**
 * The calling end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { brokerError, REPLY_CODE, replyCodeOf } from "../../amqp/failure.ts";
import { type ConnectionState, ConnectionSupervisor, type Session } from "../../amqp/supervisor.ts";
import { inspectQueue, type QueueInspection } from "../../amqp/queue.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery } from "../../amqp/message.ts";
import { RpcError } from "../../errors.ts";
import { CONTENT_TYPE_TEXT, TRANSIENT } from "../../protocol/names.ts";
import { decodeError, isErrorReply } from "../../protocol/reply.ts";
import { checkTimeout } from "../../checks.ts";
import { AbortSignals } from "./abort_signals.ts";
import { MessageSizeLimit } from "../message_limit.ts";
import { cancelled, closed, expired, noConsumer, noQueue, outcomeUnknown } from "./call_errors.ts";
import {
  type CallOptions,
  resolveClientOptions,
  type RpcClientOptions,
  type RpcClientStats,
} from "./options.ts";
import type { RpcClientCodec } from "../codec.ts";
import { PendingCall, type PendingCallEvents } from "./pending_call.ts";
import { openReplyConsumer, type ReplyConsumer } from "./reply_consumer.ts";
import { LostRequestDetector } from "./lost_requests.ts";
import { DeadlineQueue } from "./deadline_queue.ts";

const logger = getLogger(["fibrpc", "client"]);

/** How long a returned request waits before it is tried again, in milliseconds: first, and at the most. */
const RETURN_RETRY_MS = { first: 100, cap: 2_000 };

/**
 * Calls a service over RabbitMQ.
 *
 * It connects at the first call, or by {@linkcode RpcClient.connect}, and from
 * then on reconnects by itself: calls in flight are sent again, with the same
 * correlation id and what is left of their time, and each ends exactly once.
 *
 * @example A service of one's own
 * ```ts
 * import { RpcClient, type RpcClientCodec } from "@fibrpc/fibrpc";
 *
 * export async function call(codec: RpcClientCodec<string, number>): Promise<number> {
 *   await using client = new RpcClient(codec, { queue: "my_service" });
 *   return await client.call("a request", { timeoutMs: 5_000 });
 * }
 * ```
 */
export class RpcClient<Request, Response> implements AsyncDisposable {
  readonly #codec: RpcClientCodec<Request, Response>;
  readonly #options: ReturnType<typeof resolveClientOptions>;
  readonly #pending = new Map<string, PendingCall<Request, Response>>();
  /** A random number of 128 bits in 22 characters; a counter makes it one id per call. */
  readonly #idPrefix = randomText();
  readonly #stats: RpcClientStats = {
    calls: 0,
    responses: 0,
    errors: 0,
    resubmissions: 0,
    repliesDropped: 0,
    repliesUnknown: 0,
  };
  readonly #events: PendingCallEvents<Request, Response> = {
    timers: new DeadlineQueue((call) => {
      call.onDeadlineNear();
      const connection = this.#supervisor?.connection;
      if (connection === undefined) return;
      this.#inspect(connection).then((found) => call.diagnosis = found, () => {}); // Then it isn't said.
    }),
    onDeadline: (call) => {
      const { timeoutMs, unknownReplies } = call.options;
      const error = expired(this.#place(call), timeoutMs, {
        outage: this.#supervisor?.outage,
        queue: call.diagnosis,
        sent: call.sent,
        unknownReplies: this.#stats.repliesUnknown - unknownReplies,
      });
      this.#fail(call, error);
    },
    signals: new AbortSignals((call, signal) =>
      this.#fail(call, cancelled(this.#place(call), signal))
    ),
  };
  readonly #limit: MessageSizeLimit;
  #nextId = 0;
  #supervisor: ConnectionSupervisor | undefined;
  #session: ReplyConsumer | undefined;
  #closed = false;
  #inspection: Promise<QueueInspection> | undefined;
  readonly #silence: LostRequestDetector<PendingCall<Request, Response>>;

  /**
   * Makes a client; it connects at the first call.
   *
   * @param codec What the bodies mean.
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(
    codec: RpcClientCodec<Request, Response>,
    options: RpcClientOptions = {},
  ) {
    this.#codec = codec;
    this.#options = resolveClientOptions(options);
    this.#limit = new MessageSizeLimit(this.#options.maxMessageBytes);
    this.#silence = new LostRequestDetector({
      resendAfterMs: this.#options.resendAfterMs,
      pending: this.#pending,
      session: () => this.#supervisor?.state === "connected" ? this.#session : undefined,
      inspect: ({ connection }) => this.#inspect(connection),
      resend: (call, pauseMs) => this.#sendAfter(pauseMs, call),
    });
  }

  /** The state of the connection; `idle` before the first use and after a first connection failed. */
  get state(): ConnectionState | "idle" {
    if (this.#closed) return "closed";
    const state = this.#supervisor?.state ?? "idle";
    return state === "closed" ? "idle" : state;
  }

  /** What this client has done so far. */
  get stats(): Readonly<RpcClientStats> {
    return { ...this.#stats };
  }

  /** How many calls wait for their replies. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Connects now, instead of at the first call.
   *
   * @throws {RpcError} `unavailable`, `unauthenticated` or `permission_denied`.
   */
  async connect(): Promise<void> {
    if (this.#closed) throw closed();
    await this.#connect().open();
  }

  /**
   * Calls the service.
   *
   * @param request What to send.
   * @param options The call's own settings.
   * @returns The response.
   * @throws {RpcError} And nothing else; its code says why.
   */
  call(request: Request, options: CallOptions = {}): Promise<Response> {
    return new Promise((resolve, reject) => {
      try {
        this.#submit(request, options, resolve, reject);
      } catch (error) {
        reject(RpcError.from(error));
      }
    });
  }

  /** Closes the connection; calls that still wait are rejected with `cancelled`. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#pending.values()) this.#fail(call, closed());
    await this.#supervisor?.close();
  }

  /** The same as {@linkcode RpcClient.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #submit(
    request: Request,
    options: CallOptions,
    resolve: (response: Response) => void,
    reject: (error: RpcError) => void,
  ): void {
    if (this.#closed) throw closed();
    const { timeoutMs = this.#options.timeoutMs, signal } = options;
    const { idempotent = this.#options.idempotent } = options;
    checkTimeout("timeoutMs", timeoutMs);
    if (signal?.aborted) throw cancelled(this.#codec.describe(request), signal);
    const { maxPending } = this.#options;
    if (this.#pending.size >= maxPending) {
      throw new RpcError(
        "resource_exhausted",
        `${
          this.#codec.describe(request)
        } was not sent: ${maxPending} calls are waiting already (maxPending)`,
      );
    }
    const supervisor = this.#connect();
    if (supervisor.refusal !== undefined) throw supervisor.refusal;
    // Later it may have been changed by its owner.
    const label = typeof request === "object" ? this.#codec.describe(request) : undefined;
    const id = `${this.#idPrefix}.${(this.#nextId++).toString(36)}`;
    const body = this.#codec.encodeRequest(request);
    if (!this.#limit.allows(body)) throw this.#limit.error(body, this.#codec.describe(request));
    const now = performance.now();
    const { repliesUnknown: unknownReplies } = this.#stats;
    const call = new PendingCall(
      { id, request, label, body, timeoutMs, idempotent, unknownReplies, signal, resolve, reject },
      this.#events,
      now,
    );
    this.#stats.calls += 1;
    this.#pending.set(id, call);
    supervisor.open();
    this.#silence.start();
    this.#send(call, now);
  }

  #connect(): ConnectionSupervisor {
    const { onStateChange, connectTimeoutMs } = this.#options;
    this.#supervisor ??= new ConnectionSupervisor({
      ...this.#options,
      firstConnectWithinMs: connectTimeoutMs,
      establish: (connection) => this.#establish(connection),
      onStateChange: (change) => {
        if (change.state === "connected") this.#sendAll();
        onStateChange?.(change);
      },
      onRefused: (error) => {
        for (const call of this.#pending.values()) this.#fail(call, error);
      },
    });
    return this.#supervisor;
  }

  async #establish(connection: Connection): Promise<Session> {
    const session = await openReplyConsumer(
      connection,
      this.#options.reply,
      (message) => this.#onReply(message),
      (message) => this.#onReturn(message),
    );
    this.#session = session;
    this.#limit.startOn(connection);
    session.ended.then((reason) => this.#onSessionEnd(session, reason));
    this.#sendAhead(session);
    try {
      await session.confirmed;
    } catch (error) {
      this.#takeBack(session);
      throw error;
    }
    this.#sendAll(); // Where the connection lived on, no change of its state does it.
    return session;
  }

  /**
   * Sends what may be sent twice without waiting for the broker's word on the
   * session, which is a round trip of a lone call's five. If the broker refuses
   * the session, it never sees them; if the connection breaks, it may have.
   */
  #sendAhead(session: ReplyConsumer): void {
    if (this.#options.requireServer || session.connection.blocked !== undefined) return;
    for (const call of this.#pending.values()) {
      if (call.options.idempotent) this.#publish(call, session);
    }
  }

  /** What was sent on it counts as not sent: that the queue was there isn't known from it. */
  #takeBack(session: ReplyConsumer): void {
    for (const call of this.#pending.values()) {
      if (call.sentOn !== session) continue;
      call.sentOn = undefined;
      call.sent -= 1;
    }
  }

  /** Replies to what was sent on it can't come any more. */
  #onSessionEnd(session: ReplyConsumer, reason: Error): void {
    if (this.#session === session) this.#session = undefined;
    session.channel.close(); // Only its consumer may have ended.
    if (this.#limit.learn(reason)) this.#failOversized();
    const refused = replyCodeOf(reason) === REPLY_CODE.ACCESS_REFUSED;
    for (const call of this.#pending.values()) {
      if (call.sentOn !== session) continue;
      const place = this.#place(call);
      if (refused) {
        this.#fail(call, brokerError(reason, `can't send ${place}`));
      } else if (!call.options.idempotent) {
        this.#fail(call, outcomeUnknown(place, reason));
      }
    }
  }

  /** What the broker refuses would cost the next channel too. */
  #failOversized(): void {
    for (const call of this.#pending.values()) {
      const { body } = call.options;
      if (!this.#limit.allows(body)) this.#fail(call, this.#limit.error(body, this.#label(call)));
    }
  }

  /** Sends what the present session hasn't got. */
  #sendAll(): void {
    for (const call of this.#pending.values()) {
      if (call.sentOn !== this.#session) this.#send(call);
    }
  }

  /** Sends if that is possible now; if not, a change of state will. */
  #send(call: PendingCall<Request, Response>, now = performance.now()): void {
    const session = this.#session;
    if (session === undefined || this.#supervisor?.state !== "connected") {
      return;
    }
    if (this.#options.requireServer && call.sent === 0) {
      this.#sendIfServed(call, session);
    } else this.#publish(call, session, now);
  }

  #sendIfServed(call: PendingCall<Request, Response>, session: ReplyConsumer): void {
    // What can't be seen is not there, as far as is known.
    this.#inspect(session.connection).catch(() => undefined).then((queue) => {
      if (!this.#pending.has(call.options.id) || call.sent > 0) return;
      if (queue?.found === false) {
        this.#fail(call, noQueue(this.#place(call)));
      } else if (queue?.found === true && queue.consumers === 0) {
        this.#fail(call, noConsumer(this.#place(call)));
      } else if (this.#session === session && this.#supervisor?.state === "connected") {
        this.#publish(call, session);
      }
    });
  }

  #publish(
    call: PendingCall<Request, Response>,
    session: ReplyConsumer,
    now = performance.now(),
  ): void {
    const leftMs = Math.ceil(call.deadline - now);
    if (leftMs <= 0) return; // Its timer is about to tell.
    if (call.sent > 0) this.#stats.resubmissions += 1;
    call.sent += 1;
    call.sentAt = now;
    call.sentOn = session;
    const properties = {
      contentType: CONTENT_TYPE_TEXT,
      correlationId: call.options.id,
      replyTo: session.replyTo,
      expiration: String(leftMs),
      deliveryMode: TRANSIENT,
    };
    try {
      session.channel.publish(this.#options.queue, call.options.body, properties, true);
    } catch (error) {
      // Closed meanwhile: the next session sends it. Otherwise it can't be encoded.
      if (!session.channel.isClosed) this.#fail(call, RpcError.from(error));
    }
  }

  /** Calls that ask at the same time share one look. */
  #inspect(connection: Connection): Promise<QueueInspection> {
    this.#inspection ??= inspectQueue(connection, this.#options.queue)
      .then((queue) => {
        if (queue.found === false) this.#silence.queueMissing();
        return queue;
      })
      .finally(() => this.#inspection = undefined);
    return this.#inspection;
  }

  #onReply(message: Delivery): void {
    const { properties } = message;
    const call = this.#pending.get(properties.correlationId ?? "");
    if (call === undefined) {
      this.#drop(properties.correlationId);
      return;
    }
    this.#silence.answered(call);
    const body = message.body ?? new Uint8Array();
    try {
      if (isErrorReply(properties)) {
        throw decodeError(new TextDecoder().decode(body), properties);
      }
      const response = this.#codec.decodeResponse(body);
      this.#end(call);
      this.#stats.responses += 1;
      call.options.resolve(response);
    } catch (thrown) {
      const { code, message, cause, details } = RpcError.from(thrown);
      const text = `${this.#label(call)} failed: ${message}`;
      this.#fail(call, new RpcError(code, text, { cause, details, remote: true }));
    }
  }

  #drop(correlationId: string | undefined): void {
    this.#stats.repliesDropped += 1;
    if (correlationId?.startsWith(`${this.#idPrefix}.`)) return; // Late, or a duplicate.
    this.#stats.repliesUnknown += 1;
    logger.debug("dropped a reply with the correlation id {correlationId}, which no call has", {
      correlationId,
    });
  }

  /** The broker has no queue of that name. */
  #onReturn(message: Delivery): void {
    this.#silence.queueMissing();
    const call = this.#pending.get(message.properties.correlationId ?? "");
    if (call === undefined) return;
    if (call.sent === 1) {
      this.#fail(call, noQueue(this.#place(call)));
      return;
    }
    // The queue was there before: it may be on its way back.
    const waitMs = Math.min(RETURN_RETRY_MS.first * 2 ** (call.sent - 2), RETURN_RETRY_MS.cap);
    this.#sendAfter(waitMs * (0.5 + Math.random()), call); // Not all at once.
  }

  /** Sends it again after a pause, or by the next session if that comes first. */
  #sendAfter(ms: number, call: PendingCall<Request, Response>): void {
    call.sentOn = undefined;
    call.sendLater(ms, () => this.#send(call));
  }

  #place(call: PendingCall<Request, Response>): string {
    const broker = this.#supervisor?.broker ?? this.#options.brokers[0];
    return `${this.#label(call)} from ${this.#options.queue} on ${broker}`;
  }

  #label(call: PendingCall<Request, Response>): string {
    const { label, request } = call.options;
    try {
      return label ?? this.#codec.describe(request);
    } catch {
      return "a call that can't be described";
    }
  }

  #fail(call: PendingCall<Request, Response>, error: RpcError): void {
    this.#end(call);
    this.#stats.errors += 1;
    call.options.reject(error);
  }

  #end(call: PendingCall<Request, Response>): void {
    this.#pending.delete(call.options.id);
    call.end();
    if (this.#pending.size === 0) this.#silence.stop();
  }
}

function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
