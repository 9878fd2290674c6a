/**
 * The frames of a plain message, written straight to where they leave from.
 *
 * The AMQP library's way takes four promises, a buffer of a frame and a view
 * for each string: a sixth of the time of a client, and of a server, with many
 * calls in flight. What is not plain is left to it.
 *
 * AMQP 0-9-1, sections 2.3.5 (frames), 4.2.6 (content) and 1.8.3.7
 * (`basic.publish`).
 *
 * @module
 */
import type { AMQPProperties } from "@cloudamqp/amqp-client";

const FRAME = { METHOD: 1, HEADER: 2, BODY: 3, END: 206 } as const;

/** A frame's bytes before its payload, and after it. */
const FRAME_START_BYTES = 7;
const FRAME_END_BYTES = 1;
const FRAME_BYTES = FRAME_START_BYTES + FRAME_END_BYTES;

const BASIC = 60;
const PUBLISH = 40;
const MANDATORY = 1;

/** Which properties there are. */
const FLAG = {
  CONTENT_TYPE: 1 << 15,
  DELIVERY_MODE: 1 << 12,
  CORRELATION_ID: 1 << 10,
  REPLY_TO: 1 << 9,
  EXPIRATION: 1 << 8,
} as const;

const MAX_SHORT_STRING_BYTES = 255;

/** The most bytes of UTF-8 that one of UTF-16's code units makes. */
const MAX_CHARACTER_BYTES = 3;

/** So many of them fit into any frame. */
export const MAX_TEXT_CHARACTERS = 1_024;

const utf8 = new TextEncoder();

/** No message takes more besides the frames of its body: five short strings, two frames, and what is fixed. */
const MAX_ENVELOPE_BYTES = 5 * (1 + MAX_CHARACTER_BYTES * MAX_SHORT_STRING_BYTES) +
  2 * FRAME_BYTES + 64;

/** A message to the default exchange. */
export interface Publish {
  /** The channel it goes out on. */
  readonly channel: number;
  /** The queue's name. */
  readonly routingKey: string;
  /** Its content; a text has at most {@linkcode MAX_TEXT_CHARACTERS}. */
  readonly body: string | Uint8Array;
  /** What travels with it. */
  readonly properties: AMQPProperties;
  /** Whether it comes back if there is no such queue. */
  readonly mandatory: boolean;
}

/** As many bytes as a message's frames can take, none of which may have more than `frameMax`. */
export function roomFor(body: string | Uint8Array, frameMax: number): number {
  const bytes = body.length * (typeof body === "string" ? MAX_CHARACTER_BYTES : 1);
  return MAX_ENVELOPE_BYTES + bytes + framesOf(bytes, frameMax) * FRAME_BYTES;
}

function framesOf(bytes: number, frameMax: number): number {
  return Math.ceil(bytes / (frameMax - FRAME_BYTES));
}

/**
 * Writes a message's frames.
 *
 * @param bytes Where to; {@linkcode roomFor} tells how much is needed.
 * @param start At which place.
 * @param frameMax How many bytes a frame may have.
 * @returns Where they end, or -1 if it has other properties than requests and
 * replies have, or a string that is too long: then what was written counts for
 * nothing.
 */
export function writePublish(
  bytes: Uint8Array,
  start: number,
  { channel, routingKey, body, properties, mandatory }: Publish,
  frameMax: number,
): number {
  if (!isPlain(properties)) return -1;
  let at = start + FRAME_START_BYTES;
  at = writeUint16(bytes, at, BASIC);
  at = writeUint16(bytes, at, PUBLISH);
  at = writeUint16(bytes, at, 0);
  bytes[at++] = 0; // The default exchange's name is empty.
  at = writeShortString(bytes, at, routingKey);
  if (at === -1) return -1;
  bytes[at++] = mandatory ? MANDATORY : 0;
  at = endFrame(bytes, FRAME.METHOD, channel, start, at);

  const header = at;
  at = writeProperties(bytes, header + HEADER_FIXED_BYTES, properties);
  if (at === -1) return -1;
  at = endFrame(bytes, FRAME.HEADER, channel, header, at);

  if (typeof body !== "string") {
    writeHeader(bytes, header + FRAME_START_BYTES, body.length);
    return writeBody(bytes, at, channel, body, frameMax);
  }
  const end = writeText(bytes, at + FRAME_START_BYTES, body);
  const length = end - at - FRAME_START_BYTES;
  writeHeader(bytes, header + FRAME_START_BYTES, length);
  return length === 0 ? at : endFrame(bytes, FRAME.BODY, channel, at, end);
}

function writeBody(
  bytes: Uint8Array,
  start: number,
  channel: number,
  body: Uint8Array,
  frameMax: number,
): number {
  const most = frameMax - FRAME_BYTES;
  let at = start;
  for (let from = 0; from < body.length; from += most) {
    const part = body.length <= most ? body : body.subarray(from, from + most);
    bytes.set(part, at + FRAME_START_BYTES);
    at = endFrame(bytes, FRAME.BODY, channel, at, at + FRAME_START_BYTES + part.length);
  }
  return at;
}

function isPlain(properties: AMQPProperties): boolean {
  return properties.headers === undefined && properties.type === undefined &&
    properties.messageId === undefined && properties.contentEncoding === undefined &&
    properties.priority === undefined && properties.timestamp === undefined &&
    properties.userId === undefined && properties.appId === undefined;
}

/** The class, a weight that is always 0, and the body's size in 64 bits. */
function writeHeader(bytes: Uint8Array, start: number, bodyBytes: number): void {
  let at = writeUint16(bytes, start, BASIC);
  at = writeUint16(bytes, at, 0);
  at = writeUint32(bytes, at, 0);
  writeUint32(bytes, at, bodyBytes);
}

/** What {@linkcode writeHeader} writes, in its frame. */
const HEADER_FIXED_BYTES = FRAME_START_BYTES + 12;

function writeProperties(bytes: Uint8Array, start: number, properties: AMQPProperties): number {
  const { contentType, deliveryMode, correlationId, replyTo, expiration } = properties;
  let at = start + 2;
  let flags = 0;
  if (contentType !== undefined) {
    flags |= FLAG.CONTENT_TYPE;
    at = writeShortString(bytes, at, contentType);
    if (at === -1) return -1;
  }
  if (deliveryMode !== undefined) {
    flags |= FLAG.DELIVERY_MODE;
    bytes[at++] = deliveryMode;
  }
  if (correlationId !== undefined) {
    flags |= FLAG.CORRELATION_ID;
    at = writeShortString(bytes, at, correlationId);
    if (at === -1) return -1;
  }
  if (replyTo !== undefined) {
    flags |= FLAG.REPLY_TO;
    at = writeShortString(bytes, at, replyTo);
    if (at === -1) return -1;
  }
  if (expiration !== undefined) {
    flags |= FLAG.EXPIRATION;
    at = writeShortString(bytes, at, expiration);
    if (at === -1) return -1;
  }
  writeUint16(bytes, start, flags);
  return at;
}

/** Writes what surrounds a payload. */
function endFrame(
  bytes: Uint8Array,
  type: number,
  channel: number,
  start: number,
  payloadEnd: number,
): number {
  bytes[start] = type;
  writeUint16(bytes, start + 1, channel);
  writeUint32(bytes, start + 3, payloadEnd - start - FRAME_START_BYTES);
  bytes[payloadEnd] = FRAME.END;
  return payloadEnd + FRAME_END_BYTES;
}

function writeShortString(bytes: Uint8Array, at: number, text: string): number {
  // What is longer would not have the room.
  if (text.length > MAX_SHORT_STRING_BYTES) return -1;
  const end = writeText(bytes, at + 1, text);
  const length = end - at - 1;
  if (length > MAX_SHORT_STRING_BYTES) return -1;
  bytes[at] = length;
  return end;
}

/** So short, an encoder takes longer. */
const SHORT_CHARACTERS = 64;

/** Mostly short ASCII. */
function writeText(bytes: Uint8Array, at: number, text: string): number {
  if (text.length > SHORT_CHARACTERS) {
    return at + utf8.encodeInto(text, bytes.subarray(at)).written;
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return at + utf8.encodeInto(text, bytes.subarray(at)).written;
    bytes[at + i] = code;
  }
  return at + text.length;
}

function writeUint16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
  return at + 2;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): number {
  writeUint16(bytes, at, value >>> 16);
  return writeUint16(bytes, at + 2, value & 0xffff);
}
