/**
 * Calls that wait for their replies, and the one place where each ends.
 *
 * @module
 */
import type { MessageHeader } from "../../amqp/message.ts";
import type { QueueInspection } from "../../amqp/queue.ts";
import type { RpcError } from "../../errors.ts";
import type { CalledService } from "../service.ts";
import { AbortSignals } from "./abort_signals.ts";
import { rejectInCaller } from "./caller_stack.ts";
import type { CalledQueue } from "./called_queue.ts";
import { DeadlineQueue } from "./deadline_queue.ts";
import type { CallObserver, CallOutcome } from "./observer.ts";

/** How long before its deadline a call looks at the queue, for the error's message, in milliseconds. */
const DIAGNOSIS_MS = 250;

/** A call that waits for its reply. Times are on the clock of `performance.now()`. */
export interface PendingCall {
  /** The correlation id. */
  readonly id: string;
  readonly service: CalledService<unknown, unknown>;
  readonly queue: CalledQueue;
  readonly input: unknown;
  /** What the service calls it, if that was asked already. */
  readonly name: string | undefined;
  /** The input, as it is sent. */
  readonly body: string | Uint8Array;
  readonly headers: Record<string, MessageHeader> | undefined;
  /** How long it may take in all, in milliseconds. */
  readonly timeoutMs: number;
  readonly deadline: number;
  readonly idempotent: boolean;
  /** How many replies of no call had come before. */
  readonly unknownReplies: number;
  readonly signal: AbortSignal | undefined;
  readonly observer: CallObserver | undefined;
  /** Takes the output, or a promise that rejects. */
  readonly resolve: (output: unknown) => void;
  /** How often its request was published. */
  sent: number;
  /** When it was published last. */
  sentAt: number;
  /** The session it was published on, unless it came back. */
  sentOn: object | undefined;
  /** What was found out about the queue shortly before the deadline. */
  diagnosis?: QueueInspection;
  deadlineTimer?: ReturnType<typeof setTimeout>;
  resendTimer?: ReturnType<typeof setTimeout>;
}

/** What the owner of {@linkcode PendingCalls} does about them. */
export interface PendingCallEvents {
  /** The deadline is near: time for a look at the queue. */
  readonly onDeadlineNear: (call: PendingCall) => void;
  readonly onDeadline: (call: PendingCall) => void;
  readonly onAbort: (call: PendingCall, signal: AbortSignal) => void;
  /** A call has ended; it waits no more. */
  readonly onSettled: (call: PendingCall, outcome: CallOutcome) => void;
}

/** All calls of a client that wait. */
export class PendingCalls implements Iterable<PendingCall> {
  readonly #events: PendingCallEvents;
  readonly #calls = new Map<string, PendingCall>();
  readonly #nearDeadline = new DeadlineQueue<PendingCall>((call) => {
    call.deadlineTimer = setTimeout(
      () => this.#events.onDeadline(call),
      Math.max(call.deadline - performance.now(), 0),
    );
    this.#events.onDeadlineNear(call);
  });
  readonly #signals: AbortSignals<PendingCall>;

  constructor(events: PendingCallEvents) {
    this.#events = events;
    this.#signals = new AbortSignals(events.onAbort);
  }

  get size(): number {
    return this.#calls.size;
  }

  get(id: string | undefined): PendingCall | undefined {
    return id === undefined ? undefined : this.#calls.get(id);
  }

  has(call: PendingCall): boolean {
    return this.#calls.has(call.id);
  }

  [Symbol.iterator](): Iterator<PendingCall> {
    return this.#calls.values();
  }

  add(call: PendingCall, now: number): void {
    this.#calls.set(call.id, call);
    this.#nearDeadline.set(call, nearMs(call), now);
    if (call.signal !== undefined) this.#signals.add(call, call.signal);
  }

  /** Calls `send` after a pause, unless the call has ended or was sent by then. */
  sendLater(call: PendingCall, ms: number, send: () => void): void {
    clearTimeout(call.resendTimer);
    call.resendTimer = setTimeout(() => {
      if (call.sentOn === undefined) send();
    }, ms);
  }

  respond(call: PendingCall, output: unknown): void {
    this.#settle(call, "response");
    call.resolve(output);
  }

  fail(call: PendingCall, error: RpcError): void {
    this.#settle(call, error.code);
    call.resolve(rejectInCaller(error));
  }

  #settle(call: PendingCall, outcome: CallOutcome): void {
    this.#calls.delete(call.id);
    this.#nearDeadline.clear(call, nearMs(call));
    if (call.deadlineTimer !== undefined) clearTimeout(call.deadlineTimer);
    if (call.resendTimer !== undefined) clearTimeout(call.resendTimer);
    if (call.signal !== undefined) this.#signals.delete(call, call.signal);
    this.#events.onSettled(call, outcome);
  }
}

/** How long after its start a call's deadline is near, in milliseconds. */
function nearMs({ timeoutMs }: PendingCall): number {
  return timeoutMs - Math.min(DIAGNOSIS_MS, timeoutMs / 10);
}
