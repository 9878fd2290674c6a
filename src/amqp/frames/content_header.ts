/**
 * Content header frames (AMQP 0-9-1, section 4.2.6) that the library can't
 * read, made readable. RabbitMQ passes all of them on, and one that ended a
 * server's connection would be delivered again and end the next.
 *
 * @module
 */
import { FrameView } from "./frame_view.ts";

/** AMQP 0-9-1, section 4.2.3. */
const FRAME_TYPE = { METHOD: 1, HEADER: 2, BODY: 3 } as const;
const FRAME_OVERHEAD = 8;
const SIZE_OFFSET = 3;

/** AMQP 0-9-1, section 1.8.3.13: `basic.deliver`, and where a frame says so. */
const BASIC = 60;
const DELIVER = 60;
const METHOD_OFFSET = 7;

/** Where the property flags are, and the properties begin. */
const FLAGS_OFFSET = 19;
const PROPERTIES_OFFSET = FLAGS_OFFSET + 2;

/** The highest flag is that of the first property. */
const FIRST_FLAG = 0x8000;
const HEADERS_INDEX = 2;
const CLUSTER_ID_INDEX = 13;
const FLAG = {
  CONTENT_TYPE: FIRST_FLAG,
  CONTENT_ENCODING: FIRST_FLAG >> 1,
  HEADERS: FIRST_FLAG >> HEADERS_INDEX,
  CLUSTER_ID: FIRST_FLAG >> CLUSTER_ID_INDEX,
} as const;

/** A field table's type of a long string: AMQP 0-9-1, section 4.2.1. */
const LONG_STRING = "S".charCodeAt(0);

/** How long each property up to the cluster id is: after its own length, or in bytes. */
const SIZES = [
  "short", // content type
  "short", // content encoding
  "long", // headers
  1, // delivery mode
  1, // priority
  "short", // correlation id
  "short", // reply to
  "short", // expiration
  "short", // message id
  8, // timestamp
  "short", // type
  "short", // user id
  "short", // app id
  "short", // cluster id
] as const;

/** Whether the frame at an offset is of a delivery, and nothing in it can mislead the library. */
export function isPlainDelivery(bytes: Uint8Array, at: number): boolean {
  switch (bytes[at]) {
    case FRAME_TYPE.METHOD:
      return shortAt(bytes, at + METHOD_OFFSET) === BASIC &&
        shortAt(bytes, at + METHOD_OFFSET + 2) === DELIVER;
    case FRAME_TYPE.HEADER: {
      const flags = shortAt(bytes, at + FLAGS_OFFSET);
      if ((flags & FLAG.CLUSTER_ID) !== 0) return false;
      return (flags & FLAG.HEADERS) === 0 || hasOnlyStrings(bytes, at, flags);
    }
    default:
      return bytes[at] === FRAME_TYPE.BODY;
  }
}

/** Whether the headers table of a content header frame is well formed, and has only strings. */
function hasOnlyStrings(bytes: Uint8Array, frame: number, flags: number): boolean {
  let at = frame + PROPERTIES_OFFSET;
  if ((flags & FLAG.CONTENT_TYPE) !== 0) at += 1 + bytes[at]!;
  if ((flags & FLAG.CONTENT_ENCODING) !== 0) at += 1 + bytes[at]!;
  const frameEnd = frame + FRAME_OVERHEAD - 1 + longAt(bytes, frame + SIZE_OFFSET);
  if (at + 4 > frameEnd) return false;
  const end = at + 4 + longAt(bytes, at);
  if (end > frameEnd) return false;
  for (at += 4; at < end;) {
    at += 1 + bytes[at]!; // The field's name.
    if (at + 5 > end || bytes[at] !== LONG_STRING) return false;
    at += 5 + longAt(bytes, at + 1);
  }
  return at === end;
}

function longAt(bytes: Uint8Array, at: number): number {
  return shortAt(bytes, at) * 65_536 + shortAt(bytes, at + 2);
}

function shortAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

/**
 * A copy of a content header frame without its headers table: what can be
 * done with a message whose table the library can't read, because it is
 * nested too deep or holds a type it doesn't know.
 *
 * @returns `undefined` if `view` is no such frame.
 */
export function withoutHeaders(view: FrameView): FrameView | undefined {
  return without(view, HEADERS_INDEX);
}

/**
 * A copy of a content header frame without its cluster id, a property of AMQP
 * 0-9 that the library doesn't know: it takes its bytes for the next frame.
 *
 * @returns `undefined` if `view` is no such frame.
 */
export function withoutClusterId(view: FrameView): FrameView | undefined {
  return without(view, CLUSTER_ID_INDEX);
}

function without(view: FrameView, index: number): FrameView | undefined {
  if (view.getUint8(0) !== FRAME_TYPE.HEADER) return undefined;
  const flags = view.getUint16(FLAGS_OFFSET);
  const flag = FIRST_FLAG >> index;
  if ((flags & flag) === 0) return undefined;
  const start = offsetOf(view, index);
  const end = offsetOf(view, index + 1);
  const frame = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const copy = new Uint8Array(frame.length - (end - start));
  copy.set(frame.subarray(0, start));
  copy.set(frame.subarray(end), start);
  const result = new FrameView(copy.buffer);
  result.setUint32(SIZE_OFFSET, copy.length - FRAME_OVERHEAD);
  result.setUint16(FLAGS_OFFSET, flags & ~flag);
  return result;
}

/** Where a property is, or would be. */
function offsetOf(view: FrameView, index: number): number {
  const flags = view.getUint16(FLAGS_OFFSET);
  let at = PROPERTIES_OFFSET;
  for (const [i, size] of SIZES.slice(0, index).entries()) {
    if ((flags & FIRST_FLAG >> i) === 0) continue;
    if (size === "short") at += 1 + view.getUint8(at);
    else if (size === "long") at += 4 + view.getUint32(at);
    else at += size;
  }
  return at;
}
