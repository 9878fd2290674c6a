/**
 * What a server does with one request, from its arrival to the moment it is
 * answered, dropped or rejected.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { MessageProperties } from "../../amqp/message.ts";
import { MAX_TIMEOUT_MS } from "../../checks.ts";
import { RpcError } from "../../errors.ts";
import { TRANSIENT } from "../../protocol/names.ts";
import { encodeError, type ErrorReply } from "../../protocol/reply.ts";
import { messageOf, stackOf } from "../../text.ts";
import { settledWithin } from "../../time.ts";
import { MessageSizeLimit } from "../message_limit.ts";
import type { ServedService } from "../service.ts";
import { contextOf, isRequeue, type RpcHandler } from "./handler.ts";
import { LogLimit } from "./log_limit.ts";
import { intercept } from "../interceptor.ts";
import type { IncomingRequest, ServerInterceptor } from "./interceptor.ts";
import type { RequestOutcome, ServerCounters, ServerObserver } from "./observer.ts";
import { whyUnanswerable } from "./reply_to/reply_address.ts";
import type { Refusal } from "./reply_to/reply_guard.ts";
import { COMPARED_BODY_BYTES, type ReceivedRequest } from "./request.ts";
import { logFields } from "./request_log.ts";

const logger = getLogger(["fibrpc", "server"]);

/** What a caller sees of a failure that isn't its own. */
const INTERNAL_MESSAGE = "the server failed; its log says why";

/**
 * For how long a handler that was given up, and is at work all the same, counts
 * as one of those that run, in milliseconds: it may have something to end.
 */
const GIVEN_UP_LIMIT_MS = 5_000;

/** What a dispatcher works with. */
export interface DispatcherOptions<Input, Output> {
  readonly service: ServedService<Input, Output>;
  readonly handler: RpcHandler<Input, Output>;
  /** What runs around it. */
  readonly interceptors?: readonly ServerInterceptor[];
  readonly concurrency: number;
  readonly maxTimeMs: number;
  readonly maxAttempts: number;
  readonly maxMessageBytes: number;
  readonly allowReplyTo: ((replyTo: string) => boolean) | undefined;
  /** The queues that this server consumes: a reply to one of them would come back as a request. */
  readonly ownQueues: ReadonlySet<string>;
  /** What the log says how often it happened. */
  readonly counters: ServerCounters;
  readonly observer: Required<ServerObserver>;
  /** Whether a reply there would cost the connection. */
  readonly checkReplyTo: (replyTo: string) => Refusal | Promise<Refusal>;
}

/** Admits, serves and answers the requests of one service. */
export class Dispatcher<Input, Output> {
  readonly #options: DispatcherOptions<Input, Output>;
  /** `undefined` without interceptors: most servers have none, and each request would pay. */
  readonly #intercepted: ((request: IncomingRequest) => unknown) | undefined;
  /** The requests that handlers are at work on, by their keys. */
  readonly #inFlight = new Map<string, ReceivedRequest>();
  /** The requests that handlers with a time limit are at work on, answered or not. */
  readonly #atWork = new Set<ReceivedRequest>();
  readonly #limit: MessageSizeLimit;
  readonly #rejectionLog = new LogLimit();
  readonly #returnLog = new LogLimit();
  readonly #failureLog = new LogLimit();
  readonly #givenUpLog = new LogLimit();
  readonly #requeueLog = new LogLimit();

  constructor(options: DispatcherOptions<Input, Output>) {
    this.#options = options;
    const { handler, interceptors = [] } = options;
    if (interceptors.length > 0) {
      this.#intercepted = intercept(
        ({ input, context }) => handler(input as Input, context),
        interceptors,
      );
    }
    this.#limit = new MessageSizeLimit(options.maxMessageBytes);
  }

  /** By how much the handler that takes longest is over its time, in milliseconds; 0 if none is. */
  get overrunMs(): number {
    const { maxTimeMs } = this.#options;
    const now = performance.now();
    let overrunMs = 0;
    for (const { startedAt } of this.#atWork) {
      overrunMs = Math.max(overrunMs, now - startedAt! - maxTimeMs);
    }
    return overrunMs;
  }

  /** Requests come by this connection now. */
  startOn(connection: object): void {
    this.#limit.startOn(connection);
  }

  /** A channel was closed, perhaps because of a reply: the next one like it is not sent. */
  learn(reason: Error): void {
    this.#limit.learn(reason);
  }

  /**
   * Whether a request can be answered; if not, it is rejected. A promise where
   * its reply address has to be looked at first.
   */
  admit(request: ReceivedRequest): boolean | Promise<boolean> {
    const { ownQueues, checkReplyTo } = this.#options;
    const refusal = whyUnanswerable(request, ownQueues, this.#isAllowed) ??
      checkReplyTo(request.replyTo);
    if (refusal === undefined) return true;
    if (typeof refusal === "string") return this.#isAdmitted(request, refusal);
    return refusal.then((found) => this.#isAdmitted(request, found));
  }

  #isAdmitted(request: ReceivedRequest, refusal: Refusal): boolean {
    if (request.channel.isLost) return false;
    if (refusal === undefined) return true;
    request.channel.reject(request, "rejected");
    this.#logRejection(request, refusal);
    return false;
  }

  /** Starts it; the promise, if one is needed, resolves when it is settled. */
  serve(request: ReceivedRequest): void | Promise<void> {
    if (request.channel.isLost) return;
    if (request.expired) {
      this.#expire(request);
      return;
    }
    const first = this.#inFlight.size > 0 ? this.#inFlight.get(request.key) : undefined;
    if (first !== undefined && isSameCall(request) && !first.expired) {
      return this.#serveWith(first, request);
    }
    request.startedAt = performance.now();
    let result: Output | PromiseLike<Output>;
    try {
      result = this.#handle(request);
    } catch (error) {
      this.#replyError(request, error);
      return;
    }
    if (!isPromiseLike(result)) {
      this.#reply(request, result);
      return;
    }
    const { concurrency, maxTimeMs } = this.#options;
    let isAtWork = true;
    const end = () => {
      isAtWork = false;
      this.#atWork.delete(request);
    };
    const done = Promise.resolve(result).then(
      (response) => {
        end();
        this.#reply(request, response);
      },
      (error) => {
        end();
        this.#replyError(request, error);
      },
    );
    const { key } = request;
    if (maxTimeMs < Infinity) this.#atWork.add(request);
    this.#inFlight.set(key, request);
    const timer = this.#limitTime(request);
    return request.settled.then(() => {
      clearTimeout(timer);
      if (this.#inFlight.get(key) === request) this.#inFlight.delete(key);
      if (isAtWork && concurrency < Infinity) return settledWithin(GIVEN_UP_LIMIT_MS, done);
    });
  }

  #handle(request: ReceivedRequest): Output | PromiseLike<Output> {
    const { service, handler } = this.#options;
    const input = this.#decode(request);
    const context = contextOf(request);
    if (this.#intercepted === undefined) return handler(input, context);
    const broker = String(request.channel.connection.broker);
    const incoming = {
      service: service as ServedService<unknown, unknown>,
      broker,
      input,
      context,
    };
    return this.#intercepted(incoming) as Output | PromiseLike<Output>;
  }

  #limitTime(request: ReceivedRequest): ReturnType<typeof setTimeout> | undefined {
    const { maxTimeMs } = this.#options;
    if (maxTimeMs > MAX_TIMEOUT_MS) return undefined; // No limit.
    return setTimeout(() => {
      const text = `the request took longer than this server allows (${maxTimeMs} ms)`;
      const error = new RpcError("resource_exhausted", text);
      request.abort(error);
      this.#replyError(request, error);
    }, maxTimeMs);
  }

  /** A codec that throws anything but an `RpcError`, as `JSON.parse` does, means the same. */
  #decode(request: ReceivedRequest): Input {
    try {
      return this.#options.service.input.decode(request.takeBody(), request.message.properties);
    } catch (thrown) {
      if (thrown instanceof RpcError) throw thrown;
      logger.debug("request {requestId} can't be decoded: {error}", {
        ...logFields(request),
        error: stackOf(thrown),
      });
      const text = `the request can't be decoded: ${messageOf(thrown)}`;
      throw new RpcError("invalid_argument", text);
    }
  }

  /** A caller sent its call again: one reply is enough, within the time of either. */
  async #serveWith(first: ReceivedRequest, again: ReceivedRequest): Promise<void> {
    first.extend(again.deadline);
    await first.settled;
    if (first.channel.isLost) await this.serve(again);
    else again.channel.ack(again, "duplicate");
  }

  /** Answers a request that took its server with it too often. */
  giveUp(request: ReceivedRequest): void {
    const { maxAttempts, counters } = this.#options;
    const givenUp = counters.stats.givenUp + 1;
    const level = this.#givenUpLog.passes() ? "error" : "debug";
    logger[level](
      "gave up request {requestId} of {queue}, which took its server with it {maxAttempts} times " +
        "({givenUp} such requests so far)",
      { ...logFields(request), maxAttempts, givenUp },
    );
    const text = `the request was given up: its server died ${maxAttempts} times in a row`;
    this.#replyError(request, new RpcError("internal", text), "poisoned");
  }

  readonly #isAllowed = (replyTo: string): boolean => {
    try {
      return this.#options.allowReplyTo?.(replyTo) ?? true;
    } catch (error) {
      logger.error("allowReplyTo failed, so it does not allow: {error}", { error: stackOf(error) });
      return false;
    }
  };

  #logRejection(request: ReceivedRequest, reason: string): void {
    if (!this.#rejectionLog.passes()) return;
    const { rejected } = this.#options.counters.stats;
    const text =
      "rejected request {requestId}, which can't be answered: {reason} ({rejected} so far)";
    logger.warn(text, {
      ...logFields(request),
      reason,
      rejected,
    });
  }

  /** Counts a reply that came back: its queue does not exist. */
  countReturned(replyTo: string): void {
    this.#options.observer.replyReturned(this.#options.service.queue, replyTo);
    if (!this.#returnLog.passes()) return;
    const { unroutable } = this.#options.counters.stats;
    logger.warn("there is no queue {replyTo} for a reply ({unroutable} such replies so far)", {
      replyTo,
      unroutable,
    });
  }

  #reply(request: ReceivedRequest, response: Output): void {
    if (this.#isUnwanted(request)) return;
    try {
      const { output } = this.#options.service;
      const body = output.encode(response);
      if (!this.#limit.allows(body)) throw this.#limit.error(body, "the result");
      const properties: MessageProperties = {
        contentType: output.contentType,
        deliveryMode: TRANSIENT,
      };
      const { replyHeaders } = request;
      // Whoever copies a context asks for them, and adds none.
      const isUsed = replyHeaders !== undefined && Object.keys(replyHeaders).length > 0;
      if (isUsed) properties.headers = replyHeaders;
      request.channel.reply(request, { body, properties }, "response");
    } catch (error) {
      this.#replyError(request, error);
    }
  }

  /** Whether nobody waits for a reply; then the request is settled without one. */
  #isUnwanted(request: ReceivedRequest): boolean {
    // Answered already, when its time was over; or lost: then it is delivered again.
    if (request.outcome !== undefined || request.channel.isLost) return true;
    if (request.isAbandoned) request.channel.reject(request, "caller_gone");
    else if (request.expired) this.#expire(request);
    else return false;
    return true;
  }

  #expire(request: ReceivedRequest): void {
    request.channel.ack(request, "expired");
  }

  #replyError(request: ReceivedRequest, thrown: unknown, outcome?: RequestOutcome): void {
    if (this.#isUnwanted(request)) return;
    if (isRequeue(thrown)) {
      const level = this.#requeueLog.passes() ? "warn" : "debug";
      const { message: reason } = thrown;
      const text = "request {requestId} goes back to {queue}: {reason}";
      logger[level](text, { ...logFields(request), reason });
      request.channel.requeue(request);
      return;
    }
    if (!(thrown instanceof RpcError)) {
      const level = this.#failureLog.passes() ? "error" : "debug";
      const text = "the handler of request {requestId} failed: {error} ({errors} errors so far)";
      logger[level](text, {
        ...logFields(request),
        error: stackOf(thrown),
        errors: this.#options.counters.stats.errors + 1,
      });
    }
    const error = RpcError.from(thrown, "internal", INTERNAL_MESSAGE);
    const { body, properties } = this.#encodeError(error);
    const headers = { ...request.replyHeaders, ...properties.headers };
    const reply = { body, properties: { ...properties, headers } };
    request.channel.reply(request, reply, outcome ?? error.code);
  }

  /** What is over the broker's limit would cost the channel: details go, then the message is cut. */
  #encodeError(error: RpcError): ErrorReply {
    const { code, message } = error;
    let reply = encodeError(error);
    for (let { length } = message; length > 0 && !this.#limit.allows(reply.body);) {
      reply = encodeError(new RpcError(code, message.slice(0, length)));
      if (this.#limit.allows(reply.body)) break;
      length = Math.floor(length / 2);
      reply = encodeError(new RpcError(code, `${message.slice(0, length)}...`));
    }
    return reply;
  }
}

/** Whether its key tells it from all other calls: some callers use a correlation id twice. */
function isSameCall({ message: { properties, body } }: ReceivedRequest): boolean {
  return properties.correlationId !== undefined && (body?.length ?? 0) <= COMPARED_BODY_BYTES;
}

/** Also what is no `Promise`: database libraries have queries that begin when `then` is called. */
function isPromiseLike<Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> {
  return typeof (value as PromiseLike<Value> | null | undefined)?.then === "function";
}
