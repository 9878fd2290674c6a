/**
 * One request in a server's hands: its address, its time, its signal.
 *
 * @module
 */
import type { AMQPMessage } from "../amqp/transport.ts";
import { DIRECT_REPLY_TO } from "../protocol.ts";
import type { HandlerContext } from "./server_options.ts";

/** What the library puts where a short string was not UTF-8. */
const REPLACEMENT = "\uFFFD";

/** A delivered request. */
export class ReceivedRequest implements HandlerContext {
  /** The delivery, for its body, tag and properties. */
  readonly message: AMQPMessage;
  /** See {@linkcode HandlerContext.deadline}. */
  readonly deadline: number | undefined;
  #controller: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborted: Error | undefined;

  /**
   * @param message What was delivered.
   * @param deliveredAt When, on the clock of `performance.now()`.
   */
  constructor(message: AMQPMessage, deliveredAt: number) {
    this.message = message;
    const { expiration } = message.properties;
    // The broker lets nothing else than digits through.
    this.deadline = expiration === undefined ? undefined : deliveredAt + Number(expiration);
  }

  /** See {@linkcode HandlerContext.redelivered}. */
  get redelivered(): boolean {
    return this.message.redelivered;
  }

  /** See {@linkcode HandlerContext.signal}. Made when it is asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) {
        this.#controller.abort(this.#aborted);
      } else if (this.deadline !== undefined) {
        this.#timer = setTimeout(
          () => this.abort(new Error("the request's time is up")),
          Math.max(this.deadline - performance.now(), 0),
        );
      }
    }
    return this.#controller.signal;
  }

  /** Tells the handler that its result is of no use. */
  abort(reason: Error): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
    clearTimeout(this.#timer);
  }

  /** The handler is done. */
  release(): void {
    clearTimeout(this.#timer);
  }

  /** Whether its caller has stopped waiting. */
  get expired(): boolean {
    return this.deadline !== undefined && performance.now() >= this.deadline;
  }

  /**
   * Why no reply can be sent, if so.
   *
   * @param ownQueue The queue it was taken from: a reply to it would come back as a request.
   */
  unanswerable(ownQueue: string): string | undefined {
    const { replyTo, correlationId } = this.message.properties;
    if (replyTo === undefined || replyTo === "") return "no reply_to";
    if (replyTo === ownQueue) return "its reply_to is the request queue";
    if (replyTo === DIRECT_REPLY_TO) {
      return "its reply_to is direct reply-to without an address";
    }
    if (replyTo.includes(REPLACEMENT)) return "its reply_to is not UTF-8";
    if (correlationId?.includes(REPLACEMENT)) {
      return "its correlation_id is not UTF-8";
    }
    return undefined;
  }
}
