import { assert, assertEquals } from "@std/assert";
import { type AMQPBaseClient, AMQPChannel, type AMQPProperties } from "@cloudamqp/amqp-client";
import fc from "fast-check";
import {
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
    deliveryMode: fc.constantFrom(1, 2),
    correlationId: shortString,
    replyTo: shortString,
    expiration: shortString,
  }, { requiredKeys: [] }),
  mandatory: fc.boolean(),
});

Deno.test("writePublish: the same bytes as the library's, wherever they begin", () => {
  const before = 100;
  fc.assert(fc.property(message, fc.constantFrom(...FRAME_MAX), (publish, frameMax) => {
    const expected = byLibrary(publish, frameMax);
    const bytes = new Uint8Array(before + roomFor(publish.body, frameMax)).fill(7);
    const end = writePublish(bytes, before, publish, frameMax);
    assertEquals(bytes.slice(before, end), expected);
    assert(bytes.subarray(0, before).every((byte) => byte === 7));
  }));
});

function plain(properties: AMQPProperties): Publish {
  return { channel: 1, routingKey: "queue", body: "30", properties, mandatory: true };
}

Deno.test("writePublish: an empty correlation id is a correlation id", () => {
  const bytes = new Uint8Array(roomFor("30", 4_096));
  const without = writePublish(bytes, 0, plain({}), 4_096);
  assertEquals(writePublish(bytes, 0, plain({ correlationId: "" }), 4_096), without + 1);
});

Deno.test("writePublish: leaves to others what is not plain, or too long", () => {
  const bytes = new Uint8Array(roomFor("30", 4_096));
  const others: AMQPProperties[] = [
    { headers: { key: "value" } },
    { type: "error" },
    { messageId: "1" },
    { contentEncoding: "gzip" },
    { priority: 1 },
    { timestamp: new Date(0) },
    { userId: "guest" },
    { appId: "app" },
    { correlationId: "x".repeat(256) },
    { correlationId: "é".repeat(128) },
    { replyTo: "x".repeat(1_000_000) },
  ];
  for (const properties of others) {
    assertEquals(writePublish(bytes, 0, plain(properties), 4_096), -1, JSON.stringify(properties));
  }
});
