/**
 * One request in a server's hands: its channel, its time, its signal.
 *
 * @module
 */
import { utf8Length } from "../../bytes.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery, MessageHeader, MessageProperties } from "../../amqp/message.ts";
import type { ObservedRequest, RequestOutcome } from "./observer.ts";
import { MAX_TIMEOUT_MS } from "../../checks.ts";

/** The channel that a request arrived on; exactly one of these methods settles it. */
export interface SettlementChannel {
  /** The queue whose requests they are. */
  readonly queue: string;
  readonly connection: Connection;
  /** Whether its requests are out of reach: they are delivered again, here or elsewhere. */
  readonly isLost: boolean;
  /** Replies, then acknowledges. */
  reply(request: ReceivedRequest, reply: Reply, outcome: RequestOutcome): void;
  ack(request: ReceivedRequest, outcome: RequestOutcome): void;
  reject(request: ReceivedRequest, outcome: RequestOutcome): void;
  requeue(request: ReceivedRequest): void;
  isCallerGone(request: ReceivedRequest): Promise<boolean>;
}

export interface Reply {
  readonly body: string | Uint8Array;
  readonly properties: MessageProperties;
}

/** What is kept of a delivery. */
type Kept = Omit<Delivery, "routingKey">;

/** A body of so many bytes or fewer is kept until the request is settled. */
const KEPT_BODY_BYTES = 4_096;

/** So many bytes of a body are compared. */
export const COMPARED_BODY_BYTES = 256;

const EMPTY = new Uint8Array();

export class ReceivedRequest implements ObservedRequest {
  readonly channel: SettlementChannel;
  readonly receivedAt: number;
  readonly bodyBytes: number;
  startedAt: number | undefined;
  /** What its handler adds to the headers of its reply. */
  replyHeaders: Record<string, MessageHeader> | undefined;
  #replyBody: string | Uint8Array = EMPTY;
  #message: Kept;
  #deadline: number | undefined;
  #key: string | undefined;
  #controller: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborted: Error | undefined;
  #timeIsUp = false;
  #isAbandoned = false;
  #outcome: RequestOutcome | undefined;
  #settled: PromiseWithResolvers<void> | undefined;

  /**
   * @param channel What it came by.
   * @param message What was delivered.
   * @param deliveredAt When, on the clock of `performance.now()`.
   */
  constructor(channel: SettlementChannel, message: Delivery, deliveredAt: number) {
    this.channel = channel;
    this.receivedAt = deliveredAt;
    this.bodyBytes = message.body?.length ?? 0;
    this.#message = message;
    // The broker lets nothing else than digits through. With 0 it is delivered at once or never.
    const timeMs = Number(message.properties.expiration ?? 0);
    this.#deadline = timeMs === 0 ? undefined : deliveredAt + timeMs;
  }

  /** The delivery, for its tag and properties. */
  get message(): Kept {
    return this.#message;
  }

  get queue(): string {
    return this.channel.queue;
  }

  get correlationId(): string | undefined {
    return this.#message.properties.correlationId;
  }

  get headers(): Readonly<Record<string, unknown>> | undefined {
    return this.#message.properties.headers;
  }

  get replyBytes(): number {
    return typeof this.#replyBody === "string"
      ? utf8Length(this.#replyBody)
      : this.#replyBody.length;
  }

  get replyTo(): string {
    return this.#message.properties.replyTo ?? "";
  }

  get redelivered(): boolean {
    return this.#message.redelivered;
  }

  get deadline(): number | undefined {
    return this.#deadline;
  }

  /**
   * The same for every delivery of a request: its correlation id, its reply
   * address, the length of its body and the beginning of it.
   */
  get key(): string {
    if (this.#key === undefined) {
      const { correlationId = "" } = this.#message.properties;
      const body = this.#message.body ?? EMPTY;
      const head = String.fromCharCode(...body.subarray(0, COMPARED_BODY_BYTES));
      this.#key = `${correlationId} ${this.replyTo} ${body.length} ${head}`;
    }
    return this.#key;
  }

  /** The body, to be decoded: once, because a large one is not kept. */
  takeBody(): Uint8Array {
    const body = this.#message.body ?? EMPTY;
    if (body.length > KEPT_BODY_BYTES) {
      void this.key; // It can't be made without the body.
      const { deliveryTag, properties, redelivered } = this.#message;
      this.#message = { deliveryTag, properties, redelivered, body: null };
    }
    return body;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
      else this.#startTimer();
    }
    return this.#controller.signal;
  }

  /** Extends its time when the same call was sent again: the later of the deadlines counts. */
  extend(deadline: number | undefined): void {
    if (this.#deadline === undefined) return;
    this.#deadline = deadline === undefined ? undefined : Math.max(deadline, this.#deadline);
    clearTimeout(this.#timer);
    if (this.#controller !== undefined) this.#startTimer();
  }

  #startTimer(): void {
    const leftMs = (this.#deadline ?? Infinity) - performance.now();
    if (leftMs > MAX_TIMEOUT_MS) return; // No timer can hold it.
    this.#timer = setTimeout(() => {
      this.#timeIsUp = true; // A timer may be a little early.
      this.abort(new Error("the request's time is up"));
    }, Math.max(leftMs, 0));
  }

  async isCallerGone(): Promise<boolean> {
    this.#isAbandoned = await this.channel.isCallerGone(this);
    return this.#isAbandoned;
  }

  /** Whether its caller was looked for, and was gone. */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Aborts the handler's signal: its result is of no use. */
  abort(reason: Error): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
    clearTimeout(this.#timer);
  }

  /** How it ended, if it has. */
  get outcome(): RequestOutcome | undefined {
    return this.#outcome;
  }

  /** Resolves when it has ended. */
  get settled(): Promise<void> {
    this.#settled ??= Promise.withResolvers();
    if (this.#outcome !== undefined) this.#settled.resolve();
    return this.#settled.promise;
  }

  /** Was given its reply. */
  replied({ body }: Reply): void {
    this.#replyBody = body;
  }

  /** Ends it: the one place where a request does. */
  settle(outcome: RequestOutcome): void {
    this.#outcome = outcome;
    this.#settled?.resolve();
    clearTimeout(this.#timer);
  }

  /** Whether its caller has stopped waiting. */
  get expired(): boolean {
    return this.#timeIsUp || this.#deadline !== undefined && performance.now() >= this.#deadline;
  }
}
