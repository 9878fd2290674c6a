/**
 * One call from its submission to its result.
 *
 * @module
 */
import type { QueueInspection } from "../amqp/queue.ts";
import type { RpcError } from "../errors.ts";

/** How long before its deadline a call looks at the queue, for the error's message, in milliseconds. */
const DIAGNOSIS_MS = 250;

/** What a call is made of. */
export interface PendingCallOptions<Response> {
  /** Its correlation id. */
  readonly id: string;
  /** The request in a message's words. */
  readonly label: string;
  /** The request. */
  readonly body: string | Uint8Array;
  /** How long it may take in all, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether it may be sent again. */
  readonly idempotent: boolean;
  /** Gives it up. */
  readonly signal: AbortSignal | undefined;
  /** Ends it well. */
  readonly resolve: (response: Response) => void;
  /** Ends it badly. */
  readonly reject: (error: RpcError) => void;
}

/** What happens to a call while it waits. */
export interface PendingCallEvents<Response> {
  /** Its time is almost up. */
  readonly onDeadlineNear: (call: PendingCall<Response>) => void;
  /** Its time is up. */
  readonly onDeadline: (call: PendingCall<Response>) => void;
  /** Its caller gave it up. */
  readonly onAbort: (call: PendingCall<Response>, signal: AbortSignal) => void;
}

/** See the module. */
export class PendingCall<Response> {
  /** What it is made of. */
  readonly options: PendingCallOptions<Response>;
  /** How often it was published. */
  sent = 0;
  /** When it was published last, on the clock of `performance.now()`. */
  sentAt = 0;
  /** The session it was published on, unless it came back. */
  sentOn: object | undefined;
  /** What was found out about the queue shortly before the deadline. */
  diagnosis: QueueInspection | undefined;
  readonly #deadline: number;
  readonly #abort: () => void;
  #timer: ReturnType<typeof setTimeout>;
  #pause: ReturnType<typeof setTimeout> | undefined;

  /** Its time begins. */
  constructor(options: PendingCallOptions<Response>, events: PendingCallEvents<Response>) {
    this.options = options;
    const { timeoutMs, signal } = options;
    this.#deadline = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(() => events.onDeadline(this), Math.max(this.leftMs, 0));
      events.onDeadlineNear(this);
    }, timeoutMs - Math.min(DIAGNOSIS_MS, timeoutMs / 10));
    this.#abort = () => events.onAbort(this, signal!);
    signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** What is left of its time, in milliseconds. */
  get leftMs(): number {
    return this.#deadline - performance.now();
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
    clearTimeout(this.#timer);
    clearTimeout(this.#pause);
    this.options.signal?.removeEventListener("abort", this.#abort);
  }
}
