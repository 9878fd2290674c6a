/**
 * The calling end.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import type { Delivery } from "../../amqp/message.ts";
import {
  type ConnectionState,
  type ConnectionStateChange,
  ConnectionSupervisor,
  type StateListener,
} from "../../amqp/supervisor.ts";
import { checkTimeout } from "../../checks.ts";
import { anew, RpcError } from "../../errors.ts";
import { decodeError, isErrorReply } from "../../protocol/reply.ts";
import { MessageSizeLimit } from "../message_limit.ts";
import { type CalledService, checkQueueName } from "../service.ts";
import { cancelled, closed, expired, nameOf } from "./call_errors.ts";
import { CalledQueue } from "./called_queue.ts";
import { logCall } from "./call_log.ts";
import { intercept } from "../interceptor.ts";
import type { OutgoingCall } from "./interceptor.ts";
import { LostRequestDetector } from "./lost_requests.ts";
import { type CallObserver, ClientCounters, notify, type RpcClientStats } from "./observer.ts";
import type { CallOptions } from "./call_options.ts";
import {
  resolveClientOptions,
  type ResolvedClientOptions,
  type RpcClientOptions,
} from "./options.ts";
import { Outbox } from "./outbox.ts";
import { type PendingCall, PendingCalls } from "./pending_calls.ts";

const logger = getLogger(["fibrpc", "client"]);

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
  readonly #queues = new Map<string, CalledQueue>();
  /** A random number of 128 bits in 22 characters; a counter makes it one id per call. */
  readonly #idPrefix = randomText();
  readonly #counters = new ClientCounters();
  readonly #stateListeners = new Set<StateListener>([({ state }) => {
    if (state === "connected") this.#outbox.sendAll();
  }]);
  readonly #calls: PendingCalls;
  readonly #limit: MessageSizeLimit;
  readonly #outbox: Outbox;
  readonly #lostRequests: LostRequestDetector;
  /** `undefined` without interceptors. */
  readonly #intercepted: ((call: OutgoingCall) => Promise<unknown>) | undefined;
  #nextId = 0;
  #supervisor: ConnectionSupervisor | undefined;
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
    const { maxMessageBytes, resendAfterMs, reply, requireServer, interceptors } = this.#options;
    if (interceptors.length > 0) {
      this.#intercepted = intercept(
        ({ service, input, options }) => new Promise(this.#submission(service, input, options)),
        interceptors,
      );
    }
    this.#limit = new MessageSizeLimit(maxMessageBytes);
    this.#calls = new PendingCalls({
      onDeadlineNear: (call) => this.#diagnose(call),
      onDeadline: (call) => this.#onDeadline(call),
      onAbort: (call, signal) => this.#calls.fail(call, cancelled(this.#place(call), signal)),
      onSettled: (call, outcome) => {
        this.#counters.callSettled(outcome);
        logCall(call, outcome);
        if (this.#calls.size === 0) this.#lostRequests.stop();
      },
    });
    this.#outbox = new Outbox({
      calls: this.#calls,
      limit: this.#limit,
      reply,
      requireServer,
      isConnected: () => this.#supervisor?.state === "connected",
      onReply: (message) => this.#onReply(message),
      onResent: () => this.#counters.requestResent(),
      queue: (name) => this.#queues.get(name),
      place: (call) => this.#place(call),
    });
    this.#lostRequests = new LostRequestDetector({
      resendAfterMs,
      calls: this.#calls,
      session: () => this.#outbox.session,
      resend: (call, pauseMs) => this.#outbox.sendAfter(pauseMs, call),
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
    return { ...this.#counters.stats };
  }

  /** How many calls wait for their replies. */
  get pending(): number {
    return this.#calls.size;
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
    try {
      await this.#connect().open();
    } catch (error) {
      throw anew(RpcError.from(error)); // Its stack names whoever awaits this.
    }
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
    const called = service as CalledService<unknown, unknown>;
    if (this.#intercepted === undefined) {
      return new Promise(this.#submission(called, input, options)) as Promise<Output>;
    }
    return this.#callIntercepted(called, input, options) as Promise<Output>;
  }

  /** Closes the connection; calls that still wait are rejected with `cancelled`. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#calls) this.#calls.fail(call, closed());
    await this.#supervisor?.close();
  }

  /** The same as {@linkcode RpcClient.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What a call's promise begins with: no method of its own calls it, since each hides a caller in a stack. */
  #submission(
    service: CalledService<unknown, unknown>,
    input: unknown,
    options: CallOptions,
  ): (resolve: (output: unknown) => void, reject: (error: RpcError) => void) => void {
    return (resolve, reject) => {
      try {
        this.#submit(service, input, options, resolve);
      } catch (error) {
        reject(RpcError.from(error));
      }
    };
  }

  async #callIntercepted(
    service: CalledService<unknown, unknown>,
    input: unknown,
    options: CallOptions,
  ): Promise<unknown> {
    const broker = String(this.#broker);
    try {
      return await this.#intercepted!({ service, broker, input, options });
    } catch (error) {
      throw RpcError.from(error);
    }
  }

  get #broker(): BrokerUrl {
    return this.#supervisor?.broker ?? this.#options.brokers[0]!;
  }

  #submit(
    service: CalledService<unknown, unknown>,
    input: unknown,
    options: CallOptions,
    resolve: (output: unknown) => void,
  ): void {
    if (this.#closed) throw closed();
    const queue = this.#queueOf(service);
    const { timeoutMs = this.#options.timeoutMs, signal, headers, observer } = options;
    const { idempotent = service.idempotent ?? false } = options;
    checkTimeout("timeoutMs", timeoutMs);
    if (signal?.aborted) throw cancelled(nameOf({ service, input }), signal);
    const { maxPending } = this.#options;
    if (this.#calls.size >= maxPending) {
      const text = `was not sent: ${maxPending} calls are waiting already (maxPending)`;
      throw new RpcError("resource_exhausted", `${nameOf({ service, input })} ${text}`);
    }
    const supervisor = this.#connect();
    if (supervisor.refusal !== undefined) throw anew(supervisor.refusal);
    // The caller may change an object before its name is needed.
    const name = typeof input === "object" ? nameOf({ service, input }) : undefined;
    const id = `${this.#idPrefix}.${(this.#nextId++).toString(36)}`;
    const body = service.input.encode(input);
    if (!this.#limit.allows(body)) throw this.#limit.error(body, nameOf({ service, input }));
    const now = performance.now();
    this.#counters.callStarted();
    const call: PendingCall = {
      id,
      service,
      queue,
      input,
      name,
      body,
      headers,
      timeoutMs,
      deadline: now + timeoutMs,
      idempotent,
      unknownReplies: this.#counters.stats.repliesUnknown,
      signal,
      observer,
      resolve,
      sent: 0,
      sentAt: 0,
      sentOn: undefined,
    };
    this.#calls.add(call, now);
    supervisor.open();
    this.#lostRequests.start();
    this.#outbox.send(call, now);
    if (observer !== undefined) this.#notifyHeld(call, observer);
  }

  #notifyHeld({ id, sent }: PendingCall, observer: CallObserver): void {
    const { state } = this;
    if (sent > 0 || state !== "connecting" && state !== "blocked") return;
    notify(observer, (observer) => observer.requestHeld?.(id, state));
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
      establish: (connection) => this.#outbox.establish(connection),
      stateListeners: this.#stateListeners,
      onRefused: (error) => {
        for (const call of this.#calls) this.#calls.fail(call, anew(error));
      },
    });
    return this.#supervisor;
  }

  #diagnose(call: PendingCall): void {
    const connection = this.#supervisor?.connection;
    if (connection === undefined) return;
    call.queue.inspect(connection).then(
      (found) => call.diagnosis = found,
      () => {}, // The message goes without a diagnosis.
    );
  }

  #onDeadline(call: PendingCall): void {
    const outage = this.#supervisor?.outage;
    const place = outage === undefined ? this.#place(call) : this.#placeAtBroker(call);
    const error = expired(place, call.timeoutMs, {
      outage,
      queue: call.diagnosis,
      sent: call.sent,
      unknownReplies: this.#counters.stats.repliesUnknown - call.unknownReplies,
    });
    this.#calls.fail(call, error);
  }

  #onReply(message: Delivery): void {
    const { properties } = message;
    const call = this.#calls.get(properties.correlationId);
    if (call === undefined) {
      this.#drop(properties.correlationId);
      return;
    }
    this.#lostRequests.answered(call);
    const body = message.body ?? new Uint8Array();
    let output: unknown;
    try {
      if (isErrorReply(properties)) {
        throw decodeError(new TextDecoder().decode(body), properties);
      }
      output = call.service.output.decode(body, properties);
    } catch (thrown) {
      const { code, message, cause, details } = RpcError.from(thrown);
      const text = `${nameOf(call)} failed: ${message}`;
      this.#calls.fail(call, new RpcError(code, text, { cause, details, remote: true }));
      return;
    }
    this.#calls.respond(call, output);
  }

  #drop(correlationId: string | undefined): void {
    const isLate = correlationId?.startsWith(`${this.#idPrefix}.`); // Or a duplicate.
    this.#counters.replyDropped(isLate ? "late" : "unknown");
    if (isLate) return;
    logger.debug("dropped a reply with the correlation id {correlationId}, which no call has", {
      correlationId,
    });
  }

  #place(call: PendingCall): string {
    return `${this.#placeAtBroker(call)} on ${this.#broker}`;
  }

  #placeAtBroker(call: PendingCall): string {
    const { queue, service } = call;
    return service.describe === undefined ? nameOf(call) : `${nameOf(call)} from ${queue.name}`;
  }
}

function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
