/**
 * One call from its submission to its result.
 *
 * @module
 */
import type { QueueInspection } from "../../amqp/queue.ts";
import type { MessageHeader } from "../../amqp/message.ts";
import type { CalledService } from "../service.ts";
import type { AbortSignals } from "./abort_signals.ts";
import type { CalledQueue } from "./called_queue.ts";
import type { DeadlineQueue } from "./deadline_queue.ts";

/** How long before its deadline a call looks at the queue, for the error's message, in milliseconds. */
const DIAGNOSIS_MS = 250;

/** What a call is made of. */
export interface PendingCallOptions {
  /** The correlation id. */
  readonly id: string;
  readonly service: CalledService<unknown, unknown>;
  readonly queue: CalledQueue;
  /** What its caller gave. */
  readonly input: unknown;
  /** What the service calls it, if that was asked already. */
  readonly name: string | undefined;
  /** The input, as it is sent. */
  readonly body: string | Uint8Array;
  readonly headers: Record<string, MessageHeader> | undefined;
  /** How long it may take in all, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether it may be sent again. */
  readonly idempotent: boolean;
  /** How many replies of no call had come before. */
  readonly unknownReplies: number;
  readonly signal: AbortSignal | undefined;
  /** Takes the output, or a promise that rejects. */
  readonly resolve: (output: unknown) => void;
}

/** What happens to calls while they wait. */
export interface PendingCallEvents {
  /** For when a call's time is almost up: {@linkcode PendingCall.onDeadlineNear} comes next. */
  readonly timers: DeadlineQueue<PendingCall>;
  /** Its time is up. */
  readonly onDeadline: (call: PendingCall) => void;
  /** Gives it up when its caller does. */
  readonly signals: AbortSignals<PendingCall>;
}

/** A call that waits for its reply. */
export class PendingCall {
  /** What it is made of. */
  readonly options: PendingCallOptions;
  /** How often it was published. */
  sent = 0;
  /** When it was published last, on the clock of `performance.now()`. */
  sentAt = 0;
  /** The session it was published on, unless it came back. */
  sentOn: object | undefined;
  /** What was found out about the queue shortly before the deadline. */
  diagnosis: QueueInspection | undefined;
  readonly #events: PendingCallEvents;
  /** When its time is up, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** How long until its deadline is near. */
  readonly #nearMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;

  /** Its time begins `now`, on the clock of `performance.now()`. */
  constructor(
    options: PendingCallOptions,
    events: PendingCallEvents,
    now: number,
  ) {
    this.options = options;
    this.#events = events;
    const { timeoutMs, signal } = options;
    this.deadline = now + timeoutMs;
    this.#nearMs = timeoutMs - Math.min(DIAGNOSIS_MS, timeoutMs / 10);
    events.timers.set(this, this.#nearMs, now);
    if (signal !== undefined) events.signals.add(this, signal);
  }

  /** Its time is almost up: from now on it has a timer of its own. */
  onDeadlineNear(): void {
    this.#timer = setTimeout(
      () => this.#events.onDeadline(this),
      Math.max(this.deadline - performance.now(), 0),
    );
  }

  /** Sends it after a pause, unless it has ended or was sent by then. */
  sendLater(ms: number, send: () => void): void {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      if (this.sentOn === undefined) send();
    }, ms);
  }

  /** Lets go of its timers and its signal. */
  end(): void {
    this.#events.timers.clear(this, this.#nearMs);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#pause !== undefined) clearTimeout(this.#pause);
    const { signal } = this.options;
    if (signal !== undefined) this.#events.signals.delete(this, signal);
  }
}
