/**
 * Requests that came by one channel, and must be answered, dropped or
 * rejected on it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Channel } from "../../amqp/channel.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery } from "../../amqp/message.ts";
import { DIRECT_REPLY_TO } from "../../protocol/names.ts";
import type { OwnLosses } from "./quarantine/own_losses.ts";
import type { ReplyProbe } from "./reply_to/reply_probe.ts";
import type { RequestOutcome, ServerObserver } from "./observer.ts";
import { ReceivedRequest, type Reply, type SettlementChannel } from "./request.ts";

const logger = getLogger(["fibrpc", "server"]);

/** What the requests of a channel have in common. */
export interface RequestChannelOptions {
  /** The queue whose requests they are. */
  readonly queue: string;
  /** Looks at reply addresses. */
  readonly probe: ReplyProbe;
  /** Remembers the requests that are lost with the channel. */
  readonly losses: OwnLosses;
  /** Is called with each request and its outcome. */
  readonly observer: Required<ServerObserver>;
  /** Is called whenever there is one open request less, or none is left. */
  readonly onSettled: () => void;
}

/** The requests of one channel. */
export class RequestChannel implements SettlementChannel {
  readonly queue: string;
  readonly connection: Connection;
  readonly channel: Channel;
  /** Delivered, and not settled yet. */
  readonly open: Set<ReceivedRequest> = new Set();
  readonly #observer: Required<ServerObserver>;
  readonly #onSettled: () => void;
  readonly #probe: ReplyProbe;
  readonly #losses: OwnLosses;
  /** Replies that wait until the broker takes messages again. */
  readonly #held: (() => void)[] = [];
  #lost: Error | undefined;

  constructor(
    connection: Connection,
    channel: Channel,
    { queue, probe, losses, observer, onSettled }: RequestChannelOptions,
  ) {
    this.queue = queue;
    this.connection = connection;
    this.channel = channel;
    this.#probe = probe;
    this.#losses = losses;
    this.#observer = observer;
    this.#onSettled = onSettled;
    connection.blockedListeners.add(this.#releaseHeld);
    channel.onEnd((reason) => this.#lose(reason));
  }

  /** Whether its requests are out of reach: they are delivered again, here or elsewhere. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  get lost(): Error | undefined {
    return this.#lost;
  }

  take(message: Delivery): ReceivedRequest {
    const request = new ReceivedRequest(this, message, this.connection.receivedAt);
    this.open.add(request);
    this.#observer.requestReceived(request);
    return request;
  }

  reply(request: ReceivedRequest, reply: Reply, outcome: RequestOutcome): void {
    if (this.isLost) return;
    if (this.connection.blocked !== undefined) {
      this.#held.push(() => this.reply(request, reply, outcome));
      return;
    }
    const { replyTo, message: { properties: { correlationId } } } = request;
    const { body, properties } = reply;
    request.replied(reply);
    if (correlationId !== undefined) properties.correlationId = correlationId;
    // Brokers differ on what mandatory means for a direct address.
    const mandatory = !replyTo.startsWith(DIRECT_REPLY_TO);
    try {
      this.channel.publish(replyTo, body, properties, mandatory);
    } catch (error) {
      logger.error("can't publish to {replyTo}: {error}", { replyTo, error: String(error) });
    }
    this.ack(request, outcome);
  }

  ack(request: ReceivedRequest, outcome: RequestOutcome): void {
    if (this.isLost) return;
    this.channel.ack(request.message.deliveryTag);
    this.#settle(request, outcome);
  }

  reject(request: ReceivedRequest, outcome: RequestOutcome): void {
    if (this.isLost) return;
    this.channel.reject(request.message.deliveryTag, false);
    this.#settle(request, outcome);
  }

  requeue(request: ReceivedRequest): void {
    if (this.isLost) return;
    this.channel.reject(request.message.deliveryTag, true);
    this.#settle(request, "returned");
  }

  /** Whether nobody listens at its reply address. Where that can't be seen, somebody does. */
  async isCallerGone(request: ReceivedRequest): Promise<boolean> {
    return await this.#probe.isGone(this.connection.broker, request.replyTo);
  }

  readonly #releaseHeld = (): void => {
    if (this.connection.blocked !== undefined) return;
    for (const send of this.#held.splice(0)) send();
  };

  #lose(reason: Error): void {
    this.#lost = reason;
    this.connection.blockedListeners.delete(this.#releaseHeld);
    for (const request of this.open) {
      this.#losses.add(request);
      request.abort(reason);
      request.settle("lost");
      this.#observer.requestSettled(request, "lost");
    }
    this.open.clear();
    this.#onSettled();
  }

  /** Closes the channel; what is open goes back to the queue. */
  close(): void {
    this.channel.close();
  }

  #settle(request: ReceivedRequest, outcome: RequestOutcome): void {
    request.settle(outcome);
    this.open.delete(request);
    this.#observer.requestSettled(request, outcome);
    this.#onSettled();
  }
}
