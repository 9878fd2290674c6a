/**
 * Looks now and then for requests that vanished, with their queue or with a
 * node of a cluster: nothing tells a client of it. A request is in its queue no
 * more when that is empty, or when one that was sent later is answered. Then it
 * is lost, or a server is at work on it, which can't be seen either: a broker
 * tells how many consumers a queue has and how many messages wait, and nothing
 * of those that were delivered. The rule is that of
 * {@linkcode ServiceTarget.idempotent}.
 *
 * Publisher confirms would report some lost requests (not of a queue that is
 * deleted later), and cost a tenth of the calls a second.
 *
 * @module
 */
import type { QueueInspection } from "../../amqp/queue.ts";
import type { CalledQueue } from "./called_queue.ts";
import type { PendingCall, PendingCalls } from "./pending_calls.ts";
import type { ReplyConsumer } from "./reply_consumer.ts";

/** How often it looks while a call is silent for as long as it may be. */
const LOOKS = 4;

/** So much longer may a call be silent that a server is probably at work on. */
const AT_SERVER = 6;

/** How many requests a server holds at the most, as a rule: fibrpc's default, and more than the tutorials' one. */
const HELD_BY_SERVER = 64;

/** What a detector needs of its client. */
export interface LostRequestDetectorOptions {
  /** How long a call may be silent, in milliseconds; `Infinity`: as long as it likes. */
  readonly resendAfterMs: number;
  readonly calls: Pick<PendingCalls, "has"> & Iterable<PendingCall>;
  /** What requests go out on now, if they can. */
  readonly session: () => ReplyConsumer | undefined;
  /** Sends a request again after a pause, in milliseconds. */
  readonly resend: (call: PendingCall, pauseMs: number) => void;
}

/** Finds lost requests, and has them sent again. */
export class LostRequestDetector {
  readonly #options: LostRequestDetectorOptions;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLooking = false;

  constructor(options: LostRequestDetectorOptions) {
    this.#options = options;
  }

  start(): void {
    const { resendAfterMs } = this.#options;
    if (resendAfterMs === Infinity) return;
    this.#timer ??= setInterval(() => this.#look(), resendAfterMs / LOOKS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A call was answered. Of one that was sent twice the reply may be to the first. */
  answered({ sent, sentAt, queue }: PendingCall): void {
    if (sent === 1) queue.answeredSentAt = Math.max(queue.answeredSentAt, sentAt);
  }

  async #look(): Promise<void> {
    const session = this.#options.session();
    if (this.#isLooking || session === undefined) return;
    this.#isLooking = true;
    try {
      await this.#resendLost(session);
    } catch {
      // The connection is gone: then all are sent again.
    } finally {
      this.#isLooking = false;
    }
  }

  async #resendLost(session: ReplyConsumer): Promise<void> {
    const silent = new Map<CalledQueue, PendingCall[]>();
    for (const call of this.#options.calls) {
      const { idempotent, queue } = call;
      if (!idempotent || call.sentOn !== session || !this.#isSilent(call, 1)) continue;
      silent.set(queue, [...silent.get(queue) ?? [], call]);
    }
    for (const [queue, calls] of silent) {
      this.#resendGone(session, queue, calls, await queue.inspect(session.connection));
    }
  }

  #resendGone(
    session: ReplyConsumer,
    queue: CalledQueue,
    silent: readonly PendingCall[],
    found: QueueInspection,
  ): void {
    const { calls, resend, resendAfterMs } = this.#options;
    const gone = silent.filter((call) =>
      calls.has(call) && call.sentOn === session && isGone(call, found)
    );
    const atServers = found.found === true ? found.consumers * HELD_BY_SERVER : Infinity;
    const lost = gone.filter((call) =>
      gone.length > atServers || call.sentAt <= queue.missingAt ||
      this.#isSilent(call, AT_SERVER) || isLate(call)
    );
    // Not in one burst: what a full queue refused would be refused again.
    const pauseMs = resendAfterMs / LOOKS / lost.length;
    for (const [index, call] of lost.entries()) resend(call, index * pauseMs);
  }

  /** Each time that it is sent again doubles the patience: some calls simply take long. */
  #isSilent(call: PendingCall, factor: number): boolean {
    const patienceMs = this.#options.resendAfterMs * factor * 2 ** (call.sent - 1);
    return performance.now() - call.sentAt >= patienceMs;
  }
}

/** Whether it waits in the queue no more. */
function isGone({ sentAt, queue }: PendingCall, found: QueueInspection): boolean {
  return sentAt <= queue.missingAt || sentAt < queue.answeredSentAt ||
    found.found === true && found.messages === 0;
}

/** Whether most of a call's time has passed: its caller expected a reply by now, and what is left is enough for another try. */
function isLate({ deadline, timeoutMs }: PendingCall): boolean {
  return deadline - performance.now() <= timeoutMs / 4;
}
