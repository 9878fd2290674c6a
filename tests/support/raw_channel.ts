/**
 * A plain AMQP channel, for playing a peer that fibrpc didn't write.
 *
 * @module
 */
import {
  type AMQPChannel,
  AMQPClient,
  type AMQPMessage,
  type AMQPProperties,
} from "@cloudamqp/amqp-client";
import { permitsTransientQueues } from "./transient_queues.ts";
import { waitFor } from "./wait.ts";

/** An open channel on a connection of its own, with what came back on it. */
export class RawChannel implements AsyncDisposable {
  /** The library's own channel. */
  readonly channel: AMQPChannel;
  /** What came to {@linkcode RawChannel.replyTo}, in order. */
  readonly replies: AMQPMessage[] = [];
  readonly #url: string;
  readonly #client: AMQPClient;
  /** An exclusive queue for replies. */
  replyTo = "";

  private constructor(url: string, client: AMQPClient, channel: AMQPChannel) {
    this.#url = url;
    this.#client = client;
    this.channel = channel;
  }

  /** Connects, opens a channel, and consumes an exclusive reply queue. */
  static async open(url: string): Promise<RawChannel> {
    const client = new AMQPClient(`${url}?frameMax=131072`);
    client.onerror = () => {};
    // The library passes it on without its `this`, and so throws where nobody can catch it.
    const handshake = client as unknown as { rejectConnect: (error: Error) => void };
    handshake.rejectConnect = handshake.rejectConnect.bind(client);
    const connected = client.connect();
    client.socket!.setNoDelay(true);
    await connected;
    const channel = await client.channel();
    channel.onerror = () => {};
    const raw = new RawChannel(url, client, channel);
    raw.replyTo = (await channel.queueDeclare("", { exclusive: true })).name;
    await channel.basicConsume(raw.replyTo, {}, (message) => {
      raw.replies.push(message);
    });
    return raw;
  }

  /** Publishes to a queue, with this channel's reply address unless `properties` say otherwise. */
  async send(
    queue: string,
    body: string | Uint8Array,
    properties: AMQPProperties = {},
  ): Promise<void> {
    await this.channel.basicPublish("", queue, body, {
      replyTo: this.replyTo,
      ...properties,
    });
  }

  /** Waits until so many replies have come, and gives them all. */
  async waitForReplies(count: number): Promise<readonly AMQPMessage[]> {
    await waitFor(() => this.replies.length >= count, {
      what: `${count} replies`,
    });
    return this.replies;
  }

  /** How many messages wait in a queue, and how many consumers it has. */
  async look(queue: string): Promise<{ messages: number; consumers: number }> {
    const channel = await this.#client.channel();
    channel.onerror = () => {};
    const found = await channel.queueDeclare(queue, { passive: true });
    await channel.close();
    return { messages: found.messageCount, consumers: found.consumerCount };
  }

  /** How many messages wait in a queue: none if there is no such queue. */
  async messagesIn(queue: string): Promise<number> {
    try {
      return (await this.look(queue)).messages;
    } catch (error) {
      if (!/NOT_FOUND/.test(String(error))) throw error;
      return 0;
    }
  }

  /** Declares the tutorials' older kind of queue, durable where the broker refuses it otherwise. */
  async declare(queue: string): Promise<void> {
    const durable = !await permitsTransientQueues(this.#url);
    await this.channel.queueDeclare(queue, { durable, autoDelete: false });
  }

  /** Answers what comes to a queue, as a server that isn't ours. */
  async serve(
    queue: string,
    answer: (
      request: string,
    ) => { body: string | Uint8Array; properties?: AMQPProperties },
  ): Promise<void> {
    await this.declare(queue);
    await this.channel.basicConsume(queue, { noAck: true }, async (message) => {
      const { body, properties } = answer(message.bodyToString() ?? "");
      await this.channel.basicPublish("", message.properties.replyTo!, body, {
        correlationId: message.properties.correlationId!,
        ...properties,
      });
    });
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#client.closed) await this.#client.close();
  }
}
