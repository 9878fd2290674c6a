/**
 * Messages, as the rest of fibrpc sees them.
 *
 * @module
 */

export { encodeText } from "./frames/text.ts";

/** A value of a header: what a field table can hold (AMQP 0-9-1, section 4.2.1). */
export type MessageHeader = string | boolean | bigint | number | undefined | null | object;

/** The properties of a message: AMQP 0-9-1, section 1.8.1, without the reserved one. */
export interface MessageProperties {
  /** The MIME type of the body. */
  contentType?: string;
  /** Such as `gzip`. fibrpc neither sets nor obeys it. */
  contentEncoding?: string;
  /** What the application adds. */
  headers?: Record<string, MessageHeader>;
  /** 1: transient, 2: persistent. */
  deliveryMode?: number;
  /** From 0 to 255. */
  priority?: number;
  /** A call's own, which its reply repeats. */
  correlationId?: string;
  /** The queue that the reply goes to. */
  replyTo?: string;
  /** How long the message may wait in a queue: whole milliseconds, in decimal digits. */
  expiration?: string;
  /** The publisher's name of the message. */
  messageId?: string;
  /** When it was made, in whole seconds. */
  timestamp?: Date;
  /** What kind of message it is: `error` for an error reply. */
  type?: string;
  /** Who published it: the broker refuses any other user's name. */
  userId?: string;
  /** The application that made it. */
  appId?: string;
}

/** A message that the broker delivered, or returned. */
export interface Delivery {
  /** The queue that it was published to. */
  readonly routingKey: string;
  /** What travels with the body. */
  readonly properties: MessageProperties;
  /** `null` for an empty one. */
  readonly body: Uint8Array | null;
  /** Counts up from 1 on each channel. */
  readonly deliveryTag: number;
  /** Whether it was delivered before, and not acknowledged. */
  readonly redelivered: boolean;
}
