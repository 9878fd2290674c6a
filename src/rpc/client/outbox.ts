/**
 * Which requests go out, on which channel, when, and when again.
 *
 * @module
 */
import type { Connection } from "../../amqp/connection.ts";
import { brokerError, REPLY_CODE, replyCodeOf } from "../../amqp/failure.ts";
import type { Delivery, MessageProperties } from "../../amqp/message.ts";
import { RpcError } from "../../errors.ts";
import { TRANSIENT } from "../../protocol/names.ts";
import type { MessageSizeLimit } from "../message_limit.ts";
import { type CallPlace, nameOf, noConsumer, noQueue, outcomeUnknown } from "./call_errors.ts";
import type { CalledQueue } from "./called_queue.ts";
import type { PendingCall, PendingCalls } from "./pending_calls.ts";
import { openReplyConsumer, type ReplyConsumer } from "./reply_consumer.ts";
import { notify } from "./observer.ts";
import type { ReplyMode } from "./options.ts";

/** How long a returned request waits before it is tried again, in milliseconds: first, and at the most. */
const RETURN_RETRY_MS = { first: 100, cap: 2_000 };

/** What an {@linkcode Outbox} needs of its client. */
export interface OutboxOptions {
  readonly calls: PendingCalls;
  readonly limit: MessageSizeLimit;
  readonly reply: ReplyMode;
  readonly requireServer: boolean;
  /** Whether the connection is up, and the broker takes messages. */
  readonly isConnected: () => boolean;
  readonly onReply: (message: Delivery) => void;
  readonly onResent: () => void;
  /** A request queue, by its name, if it was ever called. */
  readonly queue: (name: string) => CalledQueue | undefined;
  /** A call and where it goes, in an error's words. */
  readonly place: (call: PendingCall) => CallPlace;
}

/** Publishes the requests of pending calls, each connection's on a channel of its own. */
export class Outbox {
  readonly #options: OutboxOptions;
  #session: ReplyConsumer | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** What requests go out on now, if they can. */
  get session(): ReplyConsumer | undefined {
    return this.#options.isConnected() ? this.#session : undefined;
  }

  /** Opens the channel and the reply consumer on a new connection, and sends what waits. */
  async establish(connection: Connection): Promise<ReplyConsumer> {
    const { reply, onReply, limit } = this.#options;
    const session = await openReplyConsumer(
      connection,
      reply,
      onReply,
      (message) => this.#onReturn(message),
    );
    this.#session = session;
    limit.startOn(connection);
    session.ended.then((reason) => this.#onSessionEnd(session, reason));
    this.#sendAhead(session);
    try {
      await session.confirmed;
    } catch (error) {
      this.#takeBack(session);
      throw error;
    }
    this.sendAll(); // On a connection that lived on, no change of state does it.
    return session;
  }

  /** Sends every call that was not sent on the current channel. */
  sendAll(): void {
    for (const call of this.#options.calls) {
      if (call.sentOn !== this.#session) this.send(call);
    }
  }

  /** Sends if that is possible now; if not, a change of state will. */
  send(call: PendingCall, now = performance.now()): void {
    const { session } = this;
    if (session === undefined) return;
    if (this.#options.requireServer && call.sent === 0) this.#sendIfServed(call, session);
    else this.#publish(call, session, now);
  }

  /** Sends again after a pause, or by the next session if that comes first. */
  sendAfter(ms: number, call: PendingCall): void {
    call.sentOn = undefined;
    this.#options.calls.sendLater(call, ms, () => this.send(call));
  }

  /**
   * Sends what may be sent twice before the broker confirms the session, which
   * saves one of the five round trips of a single call. If the broker refuses the
   * session, it never sees them; if the connection breaks, it may have.
   */
  #sendAhead(session: ReplyConsumer): void {
    if (this.#options.requireServer || session.connection.blocked !== undefined) return;
    for (const call of this.#options.calls) {
      if (call.idempotent) this.#publish(call, session);
    }
  }

  /** Marks its calls as unsent: whether the queue exists is still unknown. */
  #takeBack(session: ReplyConsumer): void {
    for (const call of this.#options.calls) {
      if (call.sentOn !== session) continue;
      call.sentOn = undefined;
      call.sent -= 1;
    }
  }

  #sendIfServed(call: PendingCall, session: ReplyConsumer): void {
    const { calls, place } = this.#options;
    // What can't be seen is not there, as far as is known.
    call.queue.inspect(session.connection).catch(() => undefined).then((queue) => {
      if (!calls.has(call) || call.sent > 0) return;
      if (queue?.found === false) {
        calls.fail(call, noQueue(place(call)));
      } else if (queue?.found === true && queue.consumers === 0) {
        calls.fail(call, noConsumer(place(call)));
      } else if (this.session === session) {
        this.#publish(call, session);
      }
    });
  }

  #publish(call: PendingCall, session: ReplyConsumer, now = performance.now()): void {
    const leftMs = Math.ceil(call.deadline - now);
    if (leftMs <= 0) return; // Its timer is about to end it.
    if (call.sent > 0) this.#options.onResent();
    call.sent += 1;
    call.sentAt = now;
    call.sentOn = session;
    const properties: MessageProperties = {
      contentType: call.service.input.contentType,
      correlationId: call.id,
      replyTo: session.replyTo,
      expiration: String(leftMs),
      deliveryMode: TRANSIENT,
    };
    if (call.headers !== undefined) properties.headers = call.headers;
    try {
      session.channel.publish(call.queue.name, call.body, properties, true);
    } catch (error) {
      // Closed meanwhile: the next session sends it. Otherwise it can't be encoded.
      if (!session.channel.isClosed) this.#options.calls.fail(call, RpcError.from(error));
      return;
    }
    if (call.observer !== undefined) {
      notify(call.observer, (observer) => observer.requestSent?.(call.id, call.sent));
    }
  }

  /** The broker has no queue of that name. */
  #onReturn({ properties, routingKey }: Delivery): void {
    const { calls, place } = this.#options;
    const call = calls.get(properties.correlationId);
    const queue = call?.queue ?? this.#options.queue(routingKey);
    if (queue !== undefined) queue.missingAt = performance.now();
    if (call === undefined) return;
    if (call.sent === 1) {
      calls.fail(call, noQueue(place(call)));
      return;
    }
    // The queue was there before: it may be on its way back.
    const waitMs = Math.min(RETURN_RETRY_MS.first * 2 ** (call.sent - 2), RETURN_RETRY_MS.cap);
    this.sendAfter(waitMs * (0.5 + Math.random()), call); // Not all at once.
  }

  /** Calls that were sent on it get no replies any more. */
  #onSessionEnd(session: ReplyConsumer, reason: Error): void {
    const { calls, limit, place } = this.#options;
    if (this.#session === session) this.#session = undefined;
    session.channel.close(); // Only its consumer may have ended.
    if (limit.learn(reason)) this.#failOversized();
    const refused = replyCodeOf(reason) === REPLY_CODE.ACCESS_REFUSED;
    for (const call of calls) {
      if (call.sentOn !== session) continue;
      const where = place(call);
      if (refused) calls.fail(call, brokerError(reason, `can't send ${where}`));
      else if (!call.idempotent) calls.fail(call, outcomeUnknown(where, reason));
    }
  }

  /** An oversized body would close the next channel as well. */
  #failOversized(): void {
    const { calls, limit } = this.#options;
    for (const call of calls) {
      if (!limit.allows(call.body)) calls.fail(call, limit.error(call.body, nameOf(call)));
    }
  }
}
