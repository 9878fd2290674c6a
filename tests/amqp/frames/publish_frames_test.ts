import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { type AMQPBaseClient, AMQPChannel, type AMQPProperties } from "@cloudamqp/amqp-client";
import fc from "fast-check";
import {
  headersOf,
  MAX_TEXT_CHARACTERS,
  type Publish,
  roomFor,
  writePublish,
} from "../../../src/amqp/frames/publish_frames.ts";

/** What the AMQP library writes for the same message. */
function byLibrary(
  { channel, routingKey, body, properties, mandatory }: Publish,
  frameMax: number,
): Uint8Array {
  const frames: Uint8Array[] = [];
  const connection = {
    frameMax,
    bufferPool: [],
    textEncoder: new TextEncoder(),
    send(bytes: Uint8Array) {
      frames.push(bytes.slice());
      return Promise.resolve();
    },
  } as unknown as AMQPBaseClient;
  new AMQPChannel(connection, channel).basicPublish("", routingKey, body, properties, mandatory);
  return new Uint8Array(frames.flatMap((bytes) => [...bytes]));
}

/** What this project writes, from `start` on; the rest is filled with `filler`. */
function byUs(publish: Publish, frameMax: number, start = 0, filler = 0): Uint8Array {
  const headers = headersOf(publish);
  const bytes = new Uint8Array(start + roomFor(publish, headers, frameMax)).fill(filler);
  const end = writePublish(bytes, start, publish, headers, frameMax);
  assert(bytes.subarray(0, start).every((byte) => byte === filler));
  return bytes.slice(start, end);
}

/** The least that AMQP allows, and what RabbitMQ does. */
const FRAME_MAX = [4_096, 131_072];

const bytesOf = (text: string) => new TextEncoder().encode(text).length;

/** Not empty: the library leaves out properties that are. */
const shortString = fc.oneof(
  fc.string({ minLength: 1, maxLength: 255 }),
  fc.string({ minLength: 1, maxLength: 255, unit: "binary" }),
).filter((text) => bytesOf(text) <= 255);

const message: fc.Arbitrary<Publish> = fc.record({
  channel: fc.integer({ min: 1, max: 65_535 }),
  routingKey: shortString,
  body: fc.oneof(
    fc.string({ maxLength: 500 }),
    fc.string({ maxLength: 500, unit: "binary" }),
    fc.uint8Array({ maxLength: 4_000 }),
    // Around one frame, and several.
    fc.integer({ min: 4_080, max: 13_000 }).map((length) => new Uint8Array(length).fill(7)),
    fc.integer({ min: 131_060, max: 131_080 }).map((length) => new Uint8Array(length).fill(7)),
    fc.integer({ min: 50, max: MAX_TEXT_CHARACTERS }).map((length) => "\u20ac".repeat(length)),
  ),
  properties: fc.record({
    contentType: shortString,
    contentEncoding: shortString,
    // The library writes numbers otherwise: `field_table_test.ts` has the other types.
    headers: fc.dictionary(shortString, fc.oneof(fc.string(), fc.boolean(), fc.integer()), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    deliveryMode: fc.constantFrom(1, 2),
    priority: fc.integer({ min: 1, max: 255 }),
    correlationId: shortString,
    replyTo: shortString,
    expiration: shortString,
    messageId: shortString,
    timestamp: fc.date({ noInvalidDate: true }),
    type: shortString,
    userId: shortString,
    appId: shortString,
  }, { requiredKeys: [] }),
  mandatory: fc.boolean(),
});

Deno.test("writePublish: the same bytes as the library's, wherever they begin", () => {
  fc.assert(fc.property(message, fc.constantFrom(...FRAME_MAX), (publish, frameMax) => {
    assertEquals(byUs(publish, frameMax, 100, 7), byLibrary(publish, frameMax));
  }));
});

function plain(properties: AMQPProperties): Publish {
  return { channel: 1, routingKey: "queue", body: "30", properties, mandatory: true };
}

Deno.test("writePublish: what is empty or 0 is there all the same", () => {
  const without = byUs(plain({}), 4_096).length;
  const names = [
    "contentType",
    "contentEncoding",
    "correlationId",
    "replyTo",
    "expiration",
    "messageId",
    "type",
    "userId",
    "appId",
  ] as const;
  for (const name of names) {
    assertEquals(byUs(plain({ [name]: "" }), 4_096).length, without + 1, name);
  }
  for (const name of ["deliveryMode", "priority"] as const) {
    assertEquals(byUs(plain({ [name]: 0 }), 4_096).length, without + 1, name);
  }
  assertEquals(byUs(plain({ timestamp: new Date(0) }), 4_096).length, without + 8);
  assertEquals(byUs(plain({ headers: {} }), 4_096).length, without + 4);
});

Deno.test("writePublish: a time that is none is left out", () => {
  const publish = plain({ timestamp: new Date(NaN), type: "x" });
  assertEquals(byUs(publish, 4_096), byUs(plain({ type: "x" }), 4_096));
});

Deno.test("writePublish: strings of any bytes, as they were read", () => {
  const properties = { correlationId: "\udcff", replyTo: "\udc80\udc80", type: "\ufffd" };
  const frames = byUs({ ...plain(properties), routingKey: "q\udcfe" }, 4_096);
  const { length } = byUs({ ...plain({}), routingKey: "q_" }, 4_096);
  assertEquals(frames.length, length + (1 + 1) + (1 + 2) + (1 + 3));
  assert(String(frames).includes(String([2, 0x71, 0xfe])), String(frames));
  assert(String(frames).includes(String([1, 0xff, 2, 0x80, 0x80, 3, 0xef, 0xbf, 0xbd])));
});

Deno.test("writePublish: refuses what is too long, and keeps to its room", () => {
  const tooLong = [
    { correlationId: "x".repeat(256) },
    { correlationId: "é".repeat(128) },
    { type: "\u20ac".repeat(255) },
    { replyTo: "x".repeat(1_000_000) },
  ];
  for (const properties of tooLong) {
    assertStringIncludes(
      assertThrows(() => byUs(plain(properties), 4_096), RangeError).message,
      "255 bytes",
    );
  }
  assertThrows(() => byUs({ ...plain({}), routingKey: "é".repeat(128) }, 4_096), RangeError);
  // The longest that there can be.
  const long = "x".repeat(255);
  const all: AMQPProperties = {
    contentType: long,
    contentEncoding: long,
    correlationId: long,
    replyTo: long,
    expiration: long,
    messageId: long,
    type: long,
    userId: long,
    appId: long,
    timestamp: new Date(0),
    priority: 1,
    deliveryMode: 1,
  };
  const publish = { ...plain(all), routingKey: long, body: "" };
  assertEquals(byUs(publish, 4_096), byLibrary(publish, 4_096));
  assertThrows(() => byUs(plain({ ...all, appId: "\u20ac".repeat(255) }), 4_096), RangeError);
});

Deno.test("writePublish: a content header is never split, so headers over a frame are refused", () => {
  const FIXED_BYTES = 7 + 12 + 2 + 1; // The frame's start, the header's, the flags, the frame's end.
  const fits = 4_096 - FIXED_BYTES - (4 + 1 + 1 + 1 + 4); // A table's size, a name, a type, a size.
  byUs(plain({ headers: { a: "x".repeat(fits) } }), 4_096);
  const large = plain({ headers: { a: "x".repeat(fits + 1) } });
  assertMatch(
    assertThrows(() => byUs(large, 4_096), RangeError).message,
    /headers of 40\d\d bytes/,
  );
});
