/**
 * Requests that may have killed a server, run one at a time with nothing
 * beside them.
 *
 * When a server dies, the broker delivers again what it held: the request
 * that killed it, and all that merely waited there. A classic queue doesn't
 * say how often (only quorum queues count, and only deliveries, not starts),
 * so each of them is a suspect and moves to a queue of its own. From there a
 * server fetches one when nothing else is under way, and starts it at once:
 * only here a delivery without acknowledgement means a request that was
 * started and took its server with it. That is counted, in a header, before
 * it is started again, and after so many times it is given up.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { pause } from "../amqp/backoff.ts";
import { inspectQueue, type QueueInspection, type QueueType, renewQueue } from "../amqp/queue.ts";
import type { AMQPChannel, AMQPMessage, AMQPProperties, Transport } from "../amqp/transport.ts";
import { ATTEMPTS_HEADER } from "../protocol.ts";
import { Inbox } from "./inbox.ts";
import type { ReplyProbe } from "./reply_probe.ts";
import type { ReceivedRequest } from "./request.ts";

const logger = getLogger(["fibrpc", "server"]);

/** How often a server looks for suspects that others left, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/** How often where their queue can't be had, in milliseconds: the broker logs each look as two errors. */
const LOOK_RARELY_MS = 60_000;

/** How soon it looks again for one of its own, in milliseconds: it may not have reached its queue yet. */
const LOOK_SOON_MS = 20;

/** After so long without use, in milliseconds, the broker removes the queue. */
const QUEUE_EXPIRES_MS = 60 * 60 * 1000;

/** What a lane needs of its server. */
export interface SuspectLaneOptions {
  /** The suspects' queue. */
  readonly queue: string;
  /** How it is declared. */
  readonly queueType: QueueType;
  /** After so many starts, each of which took its server with it, a suspect is given up. */
  readonly maxStarts: number;
  /** Looks at reply addresses. */
  readonly probe: ReplyProbe;
  /** Runs a task when nothing else is under way. */
  readonly alone: <Result>(task: () => Promise<Result>) => Promise<Result>;
  /** Serves a request to its end. */
  readonly serve: (request: ReceivedRequest) => Promise<void>;
  /** Answers a request that is given up. */
  readonly giveUp: (request: ReceivedRequest) => Promise<void>;
  /** Told whenever a request is settled, or all are out of reach. */
  readonly onSettled: (inbox: Inbox) => void;
  /** Told when it has ended: it was stopped, or its channel was closed. */
  readonly onEnd: (inbox: Inbox) => void;
}

/** See the module. One for each connection. */
export class SuspectLane {
  /** The requests it has fetched. */
  readonly inbox: Inbox;
  readonly #options: SuspectLaneOptions;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  /** The latest look at the queue; none if it turned out to be wrong. */
  #latestLook: Promise<QueueInspection> | undefined;
  /** Whether to try to declare it: not while there is one that only others could have declared. */
  #mayDeclare = true;
  #hasWarned = false;
  /** What suspects are moved on: with confirms, for an acknowledged one is nowhere else. */
  #confirms: Promise<AMQPChannel> | undefined;
  readonly #returned = new Set<string>();

  private constructor(inbox: Inbox, options: SuspectLaneOptions) {
    this.inbox = inbox;
    this.#options = options;
  }

  /** Opens its channel and begins to look for suspects. */
  static async open(transport: Transport, options: SuspectLaneOptions): Promise<SuspectLane> {
    const { probe, onSettled } = options;
    const channel = await transport.openChannel();
    const inbox = new Inbox(transport, channel, probe, () => onSettled(inbox));
    const lane = new SuspectLane(inbox, options);
    transport.gone.then(() => lane.stop());
    lane.#run().then(() => options.onEnd(inbox));
    return lane;
  }

  /**
   * Moves a request that was delivered before into the lane.
   *
   * @returns Whether it could: not without the queue.
   */
  async move(request: ReceivedRequest): Promise<boolean> {
    for (let attempt = 1; attempt <= 2; attempt++) {
      const look = this.#latestLook ??= this.#look();
      const state = await look.catch(() => undefined);
      if (state === undefined) return false; // The connection is gone, or a cluster's node.
      if (state.found !== true) {
        this.#warn();
        return false;
      }
      if (await this.#publish(request)) {
        request.inbox.drop(request);
        this.#wake.abort();
        return true;
      }
      if (this.#latestLook === look) this.#latestLook = undefined; // It was deleted since.
    }
    return false;
  }

  #warn(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const text = "{queue} is missing or can't be seen, and this server may not declare it: " +
      "a request that kills its server again and again can't be told from others";
    logger.warn(text, { queue: this.#options.queue });
  }

  /** @returns Whether the broker has it in the queue: only then may it be acknowledged. */
  async #publish(request: ReceivedRequest): Promise<boolean> {
    const messageId = crypto.randomUUID();
    try {
      const channel = await (this.#confirms ??= this.#openConfirms());
      const body = request.message.body ?? new Uint8Array();
      // Whatever its headers say: starts are counted here only, not by its caller.
      const properties = { ...propertiesOf(request, 0), messageId };
      await channel.basicPublish("", this.#options.queue, body, properties, true);
    } catch {
      this.#confirms = undefined; // Closed, or blocked by an alarm.
      return false;
    }
    return !this.#returned.delete(messageId);
  }

  async #openConfirms(): Promise<AMQPChannel> {
    const channel = await this.inbox.transport.openChannel();
    await channel.confirmSelect();
    channel.onReturn = ({ properties }) => this.#returned.add(properties.messageId!);
    return channel;
  }

  /** Fetches no more. */
  stop(): void {
    this.#stopping.abort();
    this.#wake.abort();
  }

  /** Looks at the queue: by declaring it where this server may, so that it is there, and stays. */
  async #look(): Promise<QueueInspection> {
    const { queue, queueType } = this.#options;
    const { transport } = this.inbox;
    if (this.#mayDeclare) {
      const renewed = await renewQueue(transport, queue, queueType, QUEUE_EXPIRES_MS);
      if (renewed !== undefined) return renewed;
    }
    const state = await inspectQueue(transport, queue);
    this.#mayDeclare = state.found === false;
    return state;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let waitMs = LOOK_EVERY_MS;
    let maxWaitMs = LOOK_EVERY_MS;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        let waiting: number | undefined;
        while (!signal.aborted && (waiting = await this.#countWaiting())) {
          await this.#options.alone(() => this.#next());
        }
        maxWaitMs = waiting === undefined ? LOOK_RARELY_MS : LOOK_EVERY_MS;
      } catch {
        // The connection is gone, or a channel, say with the queue: look again.
        if (this.inbox.isLost || this.inbox.channel.closed) break;
      }
      if (signal.aborted) break;
      await pause(waitMs, this.#wake.signal);
      waitMs = this.#wake.signal.aborted ? LOOK_SOON_MS : Math.min(2 * waitMs, maxWaitMs);
    }
    if (this.inbox.open.size === 0) this.inbox.close();
  }

  /** @returns How many suspects wait; `undefined` if they have no queue that this server can see. */
  async #countWaiting(): Promise<number | undefined> {
    const state = await (this.#latestLook = this.#look());
    return state.found === true ? state.messages : undefined;
  }

  /** Fetches and starts one, with nothing in between: a delivery here is a start. */
  async #next(): Promise<void> {
    const { queue, maxStarts, serve, giveUp } = this.#options;
    if (this.#stopping.signal.aborted) return;
    const message = await this.inbox.channel.basicGet(queue, { noAck: false });
    if (message === null) return;
    const request = this.inbox.take(message);
    const starts = startsOf(message) + (message.redelivered ? 1 : 0);
    if (starts >= maxStarts) await giveUp(request);
    else if (message.redelivered) this.#forward(request, starts);
    else await serve(request);
  }

  #forward(request: ReceivedRequest, starts: number): void {
    const properties = propertiesOf(request, starts);
    request.inbox.forward(request, this.#options.queue, properties);
  }
}

function startsOf(message: AMQPMessage): number {
  const starts = message.properties.headers?.[ATTEMPTS_HEADER];
  return Number.isSafeInteger(starts) && (starts as number) > 0 ? starts as number : 0;
}

/** What a server needs of a request's properties, and how often it was started. */
function propertiesOf(request: ReceivedRequest, starts: number): AMQPProperties {
  const { replyTo, correlationId, expiration, deliveryMode } = request.message.properties;
  return {
    headers: { [ATTEMPTS_HEADER]: starts },
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(expiration === undefined ? {} : { expiration }),
    ...(deliveryMode === undefined ? {} : { deliveryMode }),
  };
}
