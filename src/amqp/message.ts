/**
 * Messages, as the rest of fibrpc sees them.
 *
 * @module
 */
import type { FieldTable } from "./frames/field_table.ts";

/** The properties of a message: AMQP 0-9-1, section 1.8.1, without the reserved one. */
export interface MessageProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: FieldTable;
  /** 1: transient, 2: persistent. */
  deliveryMode?: number;
  /** From 0 to 255. */
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  /** How long the message may wait in a queue: whole milliseconds, in decimal digits. */
  expiration?: string;
  messageId?: string;
  timestamp?: Date;
  type?: string;
  userId?: string;
  appId?: string;
}

/** A message that the broker delivered, or returned. */
export interface Delivery {
  readonly routingKey: string;
  readonly properties: MessageProperties;
  /** `null` for an empty one. */
  readonly body: Uint8Array | null;
  /** Counts up from 1 on each channel. */
  readonly deliveryTag: number;
  readonly redelivered: boolean;
}
