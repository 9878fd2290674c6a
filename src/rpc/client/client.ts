/**
 * The calling end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { brokerError, REPLY_CODE, replyCodeOf } from "../../amqp/failure.ts";
import {
  type ConnectionState,
  type ConnectionStateChange,
  ConnectionSupervisor,
  type Session,
  type StateListener,
} from "../../amqp/supervisor.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery, MessageProperties } from "../../amqp/message.ts";
import { RpcError } from "../../errors.ts";
import { TRANSIENT } from "../../protocol/names.ts";
import { decodeError, isErrorReply } from "../../protocol/reply.ts";
import { checkTimeout } from "../../checks.ts";
import { AbortSignals } from "./abort_signals.ts";
import { MessageSizeLimit } from "../message_limit.ts";
import {
  cancelled,
  closed,
  expired,
  noConsumer,
  noQueue,
  outcomeUnknown,
  refused,
} from "./call_errors.ts";
import {
  type CallOptions,
  resolveClientOptions,
  type ResolvedClientOptions,
  type RpcClientOptions,
  type RpcClientStats,
} from "./options.ts";
import { type CalledService, checkQueueName } from "../service.ts";
import { rejectInCaller } from "./caller_stack.ts";
import { CalledQueue } from "./called_queue.ts";
import { PendingCall, type PendingCallEvents } from "./pending_call.ts";
import { openReplyConsumer, type ReplyConsumer } from "./reply_consumer.ts";
import { LostRequestDetector } from "./lost_requests.ts";
import { DeadlineQueue } from "./deadline_queue.ts";

const logger = getLogger(["fibrpc", "client"]);

/** How long a returned request waits before it is tried again, in milliseconds: first, and at the most. */
const RETURN_RETRY_MS = { first: 100, cap: 2_000 };

/**
 * Calls services over RabbitMQ, all over one connection.
 *
 * It connects at the first call, or by {@linkcode RpcClient.connect}, and from
 * then on reconnects by itself. Each call ends exactly once; those of an
 * idempotent service that were in flight are sent again, with the same
 * correlation id and what is left of their time.
 *
 * @example A service of one's own
 * ```ts
 * import { RpcClient, type Service, text } from "@fibrpc/fibrpc";
 *
 * const shout: Service<string, string> = { queue: "shout", input: text, output: text };
 *
 * export async function call(url: string): Promise<string> {
 *   await using client = new RpcClient({ url });
 *   return await client.call(shout, "hello", { timeoutMs: 5_000 });
 * }
 * ```
 */
export class RpcClient implements AsyncDisposable {
  readonly #options: ResolvedClientOptions;
  readonly #pending = new Map<string, PendingCall>();
  readonly #queues = new Map<string, CalledQueue>();
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
  readonly #events: PendingCallEvents = {
    timers: new DeadlineQueue((call) => {
      call.onDeadlineNear();
      const connection = this.#supervisor?.connection;
      if (connection === undefined) return;
      call.options.queue.inspect(connection).then(
        (found) => call.diagnosis = found,
        () => {}, // The message goes without a diagnosis.
      );
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
  readonly #stateListeners = new Set<StateListener>([({ state }) => {
    if (state === "connected") this.#sendAll();
  }]);
  readonly #limit: MessageSizeLimit;
  readonly #lostRequests: LostRequestDetector;
  #nextId = 0;
  #supervisor: ConnectionSupervisor | undefined;
  #session: ReplyConsumer | undefined;
  #closed = false;

  /**
   * Creates a client; it connects at the first call.
   *
   * @param options Settings; all have defaults.
   * @throws {RpcError} `invalid_argument` for a setting out of its range.
   */
  constructor(options: RpcClientOptions = {}) {
    this.#options = resolveClientOptions(options);
    if (options.onStateChange !== undefined) this.#stateListeners.add(options.onStateChange);
    this.#limit = new MessageSizeLimit(this.#options.maxMessageBytes);
    this.#lostRequests = new LostRequestDetector({
      resendAfterMs: this.#options.resendAfterMs,
      pending: this.#pending,
      session: () => this.#supervisor?.state === "connected" ? this.#session : undefined,
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
   * Calls `listener` once for each change of the connection's state from now on,
   * like the option of this name.
   *
   * @returns Takes the listener away again.
   */
  onStateChange(listener: (change: ConnectionStateChange) => void): () => void {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
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
   * Calls a service.
   *
   * @param input What to send.
   * @param options The call's own settings.
   * @returns The response.
   * @throws {RpcError} And nothing else; its code says why.
   */
  call<Input, Output>(
    service: CalledService<Input, Output>,
    input: Input,
    options: CallOptions = {},
  ): Promise<Output> {
    return new Promise((resolve, reject) => {
      try {
        this.#submit(
          service as CalledService<unknown, unknown>,
          input,
          options,
          resolve as (output: unknown) => void,
        );
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
    service: CalledService<unknown, unknown>,
    input: unknown,
    options: CallOptions,
    resolve: (output: unknown) => void,
  ): void {
    if (this.#closed) throw closed();
    const queue = this.#queueOf(service);
    const { timeoutMs = this.#options.timeoutMs, signal, headers } = options;
    const { idempotent = service.idempotent ?? false } = options;
    checkTimeout("timeoutMs", timeoutMs);
    if (signal?.aborted) throw cancelled(nameOf(service, input), signal);
    const { maxPending } = this.#options;
    if (this.#pending.size >= maxPending) {
      const text = `was not sent: ${maxPending} calls are waiting already (maxPending)`;
      throw new RpcError("resource_exhausted", `${nameOf(service, input)} ${text}`);
    }
    const supervisor = this.#connect();
    if (supervisor.refusal !== undefined) throw refused(supervisor.refusal);
    // The caller may change an object before its name is needed.
    const name = typeof input === "object" ? nameOf(service, input) : undefined;
    const id = `${this.#idPrefix}.${(this.#nextId++).toString(36)}`;
    const body = service.input.encode(input);
    if (!this.#limit.allows(body)) throw this.#limit.error(body, nameOf(service, input));
    const now = performance.now();
    const { repliesUnknown: unknownReplies } = this.#stats;
    const call = new PendingCall(
      {
        id,
        service,
        queue,
        input,
        name,
        body,
        headers,
        timeoutMs,
        idempotent,
        unknownReplies,
        signal,
        resolve,
      },
      this.#events,
      now,
    );
    this.#stats.calls += 1;
    this.#pending.set(id, call);
    supervisor.open();
    this.#lostRequests.start();
    this.#send(call, now);
  }

  #queueOf({ queue }: CalledService<unknown, unknown>): CalledQueue {
    let found = this.#queues.get(queue);
    if (found === undefined) {
      checkQueueName(queue);
      found = new CalledQueue(queue);
      this.#queues.set(queue, found);
    }
    return found;
  }

  #connect(): ConnectionSupervisor {
    const { connectTimeoutMs } = this.#options;
    this.#supervisor ??= new ConnectionSupervisor({
      ...this.#options,
      firstConnectWithinMs: connectTimeoutMs,
      establish: (connection) => this.#establish(connection),
      stateListeners: this.#stateListeners,
      onRefused: (error) => {
        for (const call of this.#pending.values()) this.#fail(call, refused(error));
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
    this.#sendAll(); // On a connection that lived on, no change of state does it.
    return session;
  }

  /**
   * Sends what may be sent twice before the broker confirms the session, which
   * saves one of the five round trips of a single call. If the broker refuses the
   * session, it never sees them; if the connection breaks, it may have.
   */
  #sendAhead(session: ReplyConsumer): void {
    if (this.#options.requireServer || session.connection.blocked !== undefined) return;
    for (const call of this.#pending.values()) {
      if (call.options.idempotent) this.#publish(call, session);
    }
  }

  /** Marks its calls as unsent: whether the queue exists is still unknown. */
  #takeBack(session: ReplyConsumer): void {
    for (const call of this.#pending.values()) {
      if (call.sentOn !== session) continue;
      call.sentOn = undefined;
      call.sent -= 1;
    }
  }

  /** Calls that were sent on it get no replies any more. */
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

  /** An oversized body would close the next channel as well. */
  #failOversized(): void {
    for (const call of this.#pending.values()) {
      const { body } = call.options;
      if (!this.#limit.allows(body)) this.#fail(call, this.#limit.error(body, nameOfCall(call)));
    }
  }

  /** Sends every call that was not sent on the current channel. */
  #sendAll(): void {
    for (const call of this.#pending.values()) {
      if (call.sentOn !== this.#session) this.#send(call);
    }
  }

  /** Sends if that is possible now; if not, a change of state will. */
  #send(call: PendingCall, now = performance.now()): void {
    const session = this.#session;
    if (session === undefined || this.#supervisor?.state !== "connected") {
      return;
    }
    if (this.#options.requireServer && call.sent === 0) {
      this.#sendIfServed(call, session);
    } else this.#publish(call, session, now);
  }

  #sendIfServed(call: PendingCall, session: ReplyConsumer): void {
    // What can't be seen is not there, as far as is known.
    call.options.queue.inspect(session.connection).catch(() => undefined).then((queue) => {
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
    call: PendingCall,
    session: ReplyConsumer,
    now = performance.now(),
  ): void {
    const leftMs = Math.ceil(call.deadline - now);
    if (leftMs <= 0) return; // Its timer is about to end it.
    if (call.sent > 0) this.#stats.resubmissions += 1;
    call.sent += 1;
    call.sentAt = now;
    call.sentOn = session;
    const { service, queue, body, headers } = call.options;
    const properties: MessageProperties = {
      contentType: service.input.contentType,
      correlationId: call.options.id,
      replyTo: session.replyTo,
      expiration: String(leftMs),
      deliveryMode: TRANSIENT,
    };
    if (headers !== undefined) properties.headers = headers;
    try {
      session.channel.publish(queue.name, body, properties, true);
    } catch (error) {
      // Closed meanwhile: the next session sends it. Otherwise it can't be encoded.
      if (!session.channel.isClosed) this.#fail(call, RpcError.from(error));
    }
  }

  #onReply(message: Delivery): void {
    const { properties } = message;
    const call = this.#pending.get(properties.correlationId ?? "");
    if (call === undefined) {
      this.#drop(properties.correlationId);
      return;
    }
    this.#lostRequests.answered(call);
    const body = message.body ?? new Uint8Array();
    try {
      if (isErrorReply(properties)) {
        throw decodeError(new TextDecoder().decode(body), properties);
      }
      const output = call.options.service.output.decode(body, properties);
      this.#end(call);
      this.#stats.responses += 1;
      call.options.resolve(output);
    } catch (thrown) {
      const { code, message, cause, details } = RpcError.from(thrown);
      const text = `${nameOfCall(call)} failed: ${message}`;
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
    const call = this.#pending.get(message.properties.correlationId ?? "");
    const queue = call?.options.queue ?? this.#queues.get(message.routingKey);
    if (queue !== undefined) queue.missingAt = performance.now();
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
  #sendAfter(ms: number, call: PendingCall): void {
    call.sentOn = undefined;
    call.sendLater(ms, () => this.#send(call));
  }

  #place(call: PendingCall): string {
    const broker = this.#supervisor?.broker ?? this.#options.brokers[0];
    const { queue, service } = call.options;
    const from = service.describe === undefined ? "" : ` from ${queue.name}`;
    return `${nameOfCall(call)}${from} on ${broker}`;
  }

  #fail(call: PendingCall, error: RpcError): void {
    this.#end(call);
    this.#stats.errors += 1;
    call.options.resolve(rejectInCaller(error));
  }

  #end(call: PendingCall): void {
    this.#pending.delete(call.options.id);
    call.end();
    if (this.#pending.size === 0) this.#lostRequests.stop();
  }
}

function nameOfCall({ options: { service, input, name } }: PendingCall): string {
  return name ?? nameOf(service, input);
}

function nameOf(service: CalledService<unknown, unknown>, input: unknown): string {
  try {
    return service.describe?.(input) ?? `a call of ${service.queue}`;
  } catch {
    return `a call of ${service.queue}`;
  }
}

function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
