/**
 * A channel of a connection: all that the rest of fibrpc sees of AMQP's methods,
 * without the AMQP library's own classes.
 *
 * @module
 */
import type { AMQPChannel } from "@cloudamqp/amqp-client";
import { AckBatcher, type FrameWriter } from "./ack_batcher.ts";
import { withoutClient } from "./failure.ts";
import type { Delivery, MessageProperties } from "./message.ts";

/** What the broker delivers the messages of a queue to. */
export interface Consumer {
  /** Whether the broker may deliver to it. */
  readonly isActive: boolean;
  /** Settles with the reason when the broker delivers to it no more. */
  readonly ended: Promise<Error>;
  /** Asks the broker to deliver no more. */
  cancel(): Promise<void>;
}

export interface ConsumeOptions {
  /** Whether a message counts as settled when it is delivered. */
  readonly noAck: boolean;
  /** The consumer's name on its channel. Default: the broker chooses one. */
  readonly tag?: string;
}

export interface DeclareOptions {
  readonly passive?: boolean;
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly exclusive?: boolean;
}

export interface DeclaredQueue {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

export interface ChannelOwner extends FrameWriter {
  /** Writes what this turn has gathered so far. */
  flush(): void;
  /** Adds a message to the turn's frames. */
  publish(
    channelId: number,
    routingKey: string,
    body: string | Uint8Array,
    properties: MessageProperties,
    mandatory: boolean,
  ): void;
  /** Resolves when the next frame of a channel is among the turn's frames. */
  nextFrame(channelId: number): Promise<void>;
}

/** One channel. Its methods reject with the broker's answer. */
export class Channel {
  readonly #channel: AMQPChannel;
  readonly #owner: ChannelOwner;
  readonly #endListeners = new Set<(reason: Error) => void>();
  #acks: AckBatcher | undefined;
  #endReason: Error | undefined;

  constructor(channel: AMQPChannel, owner: ChannelOwner) {
    this.#channel = channel;
    this.#owner = owner;
    channel.onerror = (reason) => this.end(new Error(reason));
  }

  /** Whether nothing can be sent on it any more. */
  get isClosed(): boolean {
    return this.#channel.closed;
  }

  /** Calls `listener` once, with the reason: when this channel ends, or now if it has. */
  onEnd(listener: (reason: Error) => void): void {
    if (this.#endReason === undefined) this.#endListeners.add(listener);
    else listener(this.#endReason);
  }

  /** Calls `listener` with each message that no queue took. */
  onReturn(listener: (message: Delivery) => void): void {
    this.#channel.onReturn = listener;
  }

  /** How many messages may be delivered and not settled at a time. */
  async qos(prefetchCount: number): Promise<void> {
    await this.#answer(this.#channel.basicQos(prefetchCount));
  }

  async declareQueue(
    name: string,
    options: DeclareOptions,
    args: Record<string, unknown> = {},
  ): Promise<DeclaredQueue> {
    return await this.#answer(this.#channel.queueDeclare(name, options, args));
  }

  async deleteQueue(name: string): Promise<void> {
    await this.#answer(this.#channel.queueDelete(name));
  }

  /** Consumes a queue. The broker may deliver before it confirms. */
  async consume(
    queue: string,
    options: ConsumeOptions,
    onDelivery: (message: Delivery) => void,
  ): Promise<Consumer> {
    const channel = this.#channel;
    const consumer = await this.#answer(channel.basicConsume(queue, options, onDelivery));
    const ended = new Promise<Error>((resolve) => {
      // The library does not report an end right behind the confirmation to the consumer.
      this.onEnd(resolve);
      consumer.wait().then(
        () => resolve(new Error("the consumer was cancelled")),
        (reason) => resolve(withoutClient(reason) as Error),
      );
    });
    const isActive = () => this.#endReason === undefined && channel.consumers.has(consumer.tag);
    return {
      ended,
      get isActive() {
        return isActive();
      },
      async cancel() {
        if (isActive()) await channel.basicCancel(consumer.tag).catch(() => {}); // It has ended.
      },
    };
  }

  /**
   * Resolves when what was just asked of the channel is among the turn's
   * frames: the library sends it some promises later. What is published then
   * comes after it.
   */
  async requested(): Promise<void> {
    if (!this.isClosed) await this.#owner.nextFrame(this.#channel.id);
  }

  /**
   * Publishes to the default exchange.
   *
   * @throws {Error} If the broker takes no messages, the channel is closed, or
   * the message can't be encoded.
   */
  publish(
    routingKey: string,
    body: string | Uint8Array,
    properties: MessageProperties,
    mandatory = false,
  ): void {
    if (this.isClosed) throw new Error("the channel is closed");
    this.#owner.publish(this.#channel.id, routingKey, body, properties, mandatory);
  }

  /** Acknowledges a delivery, in the turn's last frame. One that is lost with its channel is delivered again. */
  ack(deliveryTag: number): void {
    this.#batcher.ack(deliveryTag);
  }

  /** Rejects a delivery; `requeue` gives it back to the queue. */
  reject(deliveryTag: number, requeue: boolean): void {
    this.#batcher.reject(deliveryTag, requeue);
  }

  get #batcher(): AckBatcher {
    return this.#acks ??= new AckBatcher(this.#owner, this.#channel);
  }

  /** Closes it, when what was acknowledged has left. What is not settled is delivered again. */
  close(): void {
    if (this.isClosed) return;
    if (this.#acks !== undefined) this.#owner.flush();
    this.#channel.close().catch(() => {}); // Its connection is gone.
    this.end(new Error("the channel was closed"));
  }

  /** @ignore It has ended, with its connection or before. */
  end(reason: Error): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#acks?.stop();
    for (const listener of this.#endListeners) listener(reason);
    this.#endListeners.clear();
  }

  async #answer<Result>(asked: Promise<Result>): Promise<Result> {
    try {
      return await asked;
    } catch (error) {
      throw withoutClient(error);
    }
  }
}
