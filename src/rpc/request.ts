/**
 * One request in a server's hands: its channel, its time, its signal.
 *
 * @module
 */
import type { AMQPMessage, AMQPProperties, Transport } from "../amqp/transport.ts";
import type { HandlerContext } from "./server_options.ts";

/** What a request came by, and is settled on: once, by one of these. */
export interface RequestInbox {
  /** The connection it is on. */
  readonly transport: Transport;
  /** Whether its requests are out of reach: they are delivered again, here or elsewhere. */
  readonly isLost: boolean;
  /** Replies, then acknowledges. */
  reply(request: ReceivedRequest, body: string | Uint8Array, properties: AMQPProperties): void;
  /** Sends it to another queue instead, then acknowledges. */
  forward(request: ReceivedRequest, queue: string, properties: AMQPProperties): void;
  /** Acknowledges without a reply. */
  drop(request: ReceivedRequest): void;
  /** Rejects without requeue. */
  reject(request: ReceivedRequest): void;
  /** Whether nobody listens at its reply address. */
  isCallerGone(request: ReceivedRequest): Promise<boolean>;
}

/** A delivered request. */
export class ReceivedRequest implements HandlerContext {
  /** What it came by, and is settled on. */
  readonly inbox: RequestInbox;
  /** The delivery, for its body, tag and properties. */
  readonly message: AMQPMessage;
  /** See {@linkcode HandlerContext.deadline}. */
  readonly deadline: number | undefined;
  #controller: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborted: Error | undefined;
  #timeIsUp = false;
  #isAbandoned = false;
  #isSettled = false;
  #settled: PromiseWithResolvers<void> | undefined;

  /**
   * @param inbox What it came by.
   * @param message What was delivered.
   * @param deliveredAt When, on the clock of `performance.now()`.
   */
  constructor(inbox: RequestInbox, message: AMQPMessage, deliveredAt: number) {
    this.inbox = inbox;
    this.message = message;
    const { expiration } = message.properties;
    // The broker lets nothing else than digits through.
    this.deadline = expiration === undefined ? undefined : deliveredAt + Number(expiration);
  }

  /** Where the reply goes. */
  get replyTo(): string {
    return this.message.properties.replyTo ?? "";
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
          () => {
            this.#timeIsUp = true; // A timer may be a little early.
            this.abort(new Error("the request's time is up"));
          },
          Math.max(this.deadline - performance.now(), 0),
        );
      }
    }
    return this.#controller.signal;
  }

  /** See {@linkcode HandlerContext.isCallerGone}. */
  async isCallerGone(): Promise<boolean> {
    this.#isAbandoned = await this.inbox.isCallerGone(this);
    return this.#isAbandoned;
  }

  /** Whether its caller was looked for, and was gone. */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Tells the handler that its result is of no use. */
  abort(reason: Error): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
    clearTimeout(this.#timer);
  }

  /** Resolves when it is answered, dropped, rejected, or out of reach. */
  get settled(): Promise<void> {
    this.#settled ??= Promise.withResolvers();
    if (this.#isSettled) this.#settled.resolve();
    return this.#settled.promise;
  }

  /** It is settled: see {@linkcode ReceivedRequest.settled}. */
  settle(): void {
    this.#isSettled = true;
    this.#settled?.resolve();
    clearTimeout(this.#timer);
  }

  /** Whether its caller has stopped waiting. */
  get expired(): boolean {
    return this.#timeIsUp || this.deadline !== undefined && performance.now() >= this.deadline;
  }
}
