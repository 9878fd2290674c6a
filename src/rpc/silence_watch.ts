/**
 * Looks now and then for requests that vanished, with their queue or with a
 * node of a cluster: nothing tells of it. One that was sent before another
 * that is answered waits in the queue no more, nor does any when the queue is
 * empty: then what was silent for long is under way at a server, or lost, and
 * it is sent again.
 *
 * Publisher confirms would tell of some of them (not of a queue that is
 * deleted later), and cost a tenth of the calls a second.
 *
 * @module
 */
import type { PendingCall } from "./pending_call.ts";
import type { ReplySession } from "./reply_session.ts";

/** What a watch needs of its client. */
export interface SilenceWatchOptions<Call> {
  /** How long a call may be silent, in milliseconds; `Infinity`: as long as it likes. */
  readonly resendAfterMs: number;
  /** The calls that wait. */
  readonly pending: ReadonlyMap<string, Call>;
  /** What requests go out on now, if they can. */
  readonly session: () => ReplySession | undefined;
  /** Whether no request waits in the queue. */
  readonly isQueueEmpty: (session: ReplySession) => Promise<boolean>;
  /** Sends a request again. */
  readonly resend: (call: Call) => void;
}

/** See the module. */
export class SilenceWatch<Call extends PendingCall<unknown, never>> {
  readonly #options: SilenceWatchOptions<Call>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLooking = false;
  /** When the latest of the answered requests was sent, on the clock of `performance.now()`. */
  #answeredSentAt = -Infinity;

  /** It begins with {@linkcode SilenceWatch.start}. */
  constructor(options: SilenceWatchOptions<Call>) {
    this.#options = options;
  }

  /** There are calls that wait. */
  start(): void {
    const { resendAfterMs } = this.#options;
    if (resendAfterMs === Infinity) return;
    this.#timer ??= setInterval(() => this.#look(), resendAfterMs / 4);
  }

  /** There is none any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A call was answered. Of one that was sent twice the reply may be to the first. */
  answered(call: Call): void {
    if (call.sent === 1) this.#answeredSentAt = Math.max(this.#answeredSentAt, call.sentAt);
  }

  async #look(): Promise<void> {
    const session = this.#options.session();
    if (this.#isLooking || session === undefined) return;
    this.#isLooking = true;
    try {
      await this.#resendSilent(session);
    } catch {
      // The connection is gone: then all are sent again.
    } finally {
      this.#isLooking = false;
    }
  }

  async #resendSilent(session: ReplySession): Promise<void> {
    const { pending, isQueueEmpty, resend } = this.#options;
    const silent = [...pending.values()].filter((call) => this.#isSilent(call, session));
    if (silent.length === 0) return;
    const isOvertaken = (call: Call) => call.sentAt < this.#answeredSentAt;
    const isEmpty = silent.every(isOvertaken) || await isQueueEmpty(session);
    for (const call of silent) {
      if (!isEmpty && !isOvertaken(call)) continue;
      if (pending.has(call.options.id) && call.sentOn === session) resend(call);
    }
  }

  /** Each resubmission doubles the patience: some calls simply take long. */
  #isSilent(call: Call, session: ReplySession): boolean {
    const patience = this.#options.resendAfterMs * 2 ** (call.sent - 1);
    return call.options.idempotent && call.sentOn === session &&
      performance.now() - call.sentAt >= patience;
  }
}
