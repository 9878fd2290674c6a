/**
 * Looks now and then for requests that vanished, with their queue or with a
 * node of a cluster: nothing tells a client of it. A request is in its queue no
 * more when that is empty, or when one that was sent later is answered. Then it
 * is lost, or a server is at work on it, which can't be seen either: a broker
 * tells how many consumers a queue has and how many messages wait, and nothing
 * of those that were delivered. The rule is that of
 * {@linkcode RpcClientOptions.idempotent}.
 *
 * Publisher confirms would tell of some lost requests (not of a queue that is
 * deleted later), and cost a tenth of the calls a second.
 *
 * @module
 */
import type { QueueInspection } from "../../amqp/queue.ts";
import type { PendingCall } from "./pending_call.ts";
import type { ReplyConsumer } from "./reply_consumer.ts";

/** How often it looks while a call is silent for as long as it may be. */
const LOOKS = 4;

/** So much longer may a call be silent that a server is probably at work on. */
const AT_SERVER = 6;

/** How many requests a server holds at the most, as a rule: fibrpc's default, and more than the tutorials' one. */
const HELD_BY_SERVER = 64;

/** What a watch needs of its client. */
export interface LostRequestDetectorOptions<Call> {
  /** How long a call may be silent, in milliseconds; `Infinity`: as long as it likes. */
  readonly resendAfterMs: number;
  /** The calls that wait. */
  readonly pending: ReadonlyMap<string, Call>;
  /** What requests go out on now, if they can. */
  readonly session: () => ReplyConsumer | undefined;
  /** Looks at the queue. */
  readonly inspect: (session: ReplyConsumer) => Promise<QueueInspection>;
  /** Sends a request again after a pause, in milliseconds. */
  readonly resend: (call: Call, pauseMs: number) => void;
}

/** See the module. */
export class LostRequestDetector<Call extends PendingCall<unknown, never>> {
  readonly #options: LostRequestDetectorOptions<Call>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLooking = false;
  /** When the latest of the answered requests was sent, on the clock of `performance.now()`. */
  #answeredSentAt = -Infinity;
  /** When the queue was last seen to be missing. */
  #missingAt = -Infinity;

  /** It begins with {@linkcode LostRequestDetector.start}. */
  constructor(options: LostRequestDetectorOptions<Call>) {
    this.#options = options;
  }

  /** There are calls that wait. */
  start(): void {
    const { resendAfterMs } = this.#options;
    if (resendAfterMs === Infinity) return;
    this.#timer ??= setInterval(() => this.#look(), resendAfterMs / LOOKS);
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

  /** The queue is not there: all requests that were in it are lost. */
  queueMissing(): void {
    this.#missingAt = performance.now();
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
    const { pending, inspect, resend, resendAfterMs } = this.#options;
    const silent = [...pending.values()].filter((call) =>
      call.options.idempotent && call.sentOn === session && this.#isSilent(call, 1)
    );
    if (silent.length === 0) return;
    const queue = await inspect(session);
    const gone = silent.filter((call) =>
      pending.has(call.options.id) && call.sentOn === session && this.#isGone(call, queue)
    );
    const atServers = queue.found === true ? queue.consumers * HELD_BY_SERVER : Infinity;
    const lost = gone.filter((call) =>
      gone.length > atServers || call.sentAt <= this.#missingAt ||
      this.#isSilent(call, AT_SERVER) || isLate(call)
    );
    // Not in one burst: what a full queue refused would be refused again.
    const pauseMs = resendAfterMs / LOOKS / lost.length;
    for (const [index, call] of lost.entries()) resend(call, index * pauseMs);
  }

  /** Whether it waits in the queue no more. */
  #isGone(call: Call, queue: QueueInspection): boolean {
    return call.sentAt <= this.#missingAt || call.sentAt < this.#answeredSentAt ||
      queue.found === true && queue.messages === 0;
  }

  /** Each time that it is sent again doubles the patience: some calls simply take long. */
  #isSilent(call: Call, factor: number): boolean {
    const patienceMs = this.#options.resendAfterMs * factor * 2 ** (call.sent - 1);
    return performance.now() - call.sentAt >= patienceMs;
  }
}

/** Whether most of a call's time has passed: its caller expected a reply by now, and what is left is enough for another try. */
function isLate({ deadline, options: { timeoutMs } }: PendingCall<unknown, never>): boolean {
  return deadline - performance.now() <= timeoutMs / 4;
}
