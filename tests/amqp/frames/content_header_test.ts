import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isPlainDelivery } from "../../../src/amqp/frames/content_header.ts";
import { FrameView } from "../../../src/amqp/frames/frame_view.ts";
import { headersOf, roomFor, writePublish } from "../../../src/amqp/frames/publish_frames.ts";
import type { MessageProperties } from "../../../src/amqp/message.ts";

const FRAME_MAX = 131_072;

/** The content header frame of a message without a body. */
function headerFrame(properties: MessageProperties): Uint8Array<ArrayBuffer> {
  const message = { channel: 1, routingKey: "", body: "", properties, mandatory: false };
  const headers = headersOf(message);
  const bytes = new Uint8Array(roomFor(message, headers, FRAME_MAX));
  const end = writePublish(bytes, 0, message, headers, FRAME_MAX);
  const start = 8 + new DataView(bytes.buffer).getUint32(3); // Behind the method's frame.
  return bytes.slice(start, end);
}

/** The properties in a content header frame at an offset, as the AMQP library reads them. */
function read(bytes: Uint8Array<ArrayBuffer>, at: number): unknown {
  return new FrameView(bytes.buffer, bytes.byteOffset).getProperties(at + 19)[0];
}

const short = fc.string({ unit: "grapheme", maxLength: 20 });
const others = fc.record({ contentType: short, contentEncoding: short, correlationId: short }, {
  requiredKeys: [],
});
const strings = fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ maxLength: 50 }));

Deno.test("isPlainDelivery: headers that are strings, which are read alike among other frames", () => {
  fc.assert(fc.property(others, strings, fc.nat(50), (rest, headers, before) => {
    const properties = { ...rest, headers };
    const frame = headerFrame(properties);
    const bytes = new Uint8Array(before + 2 * frame.length);
    bytes.set(frame, before);
    bytes.set(frame, before + frame.length);
    for (const at of [before, before + frame.length]) {
      assertEquals(isPlainDelivery(bytes, at), true);
      assertEquals(read(bytes, at), read(frame, 0));
    }
  }));
});

Deno.test("isPlainDelivery: not with any other header", () => {
  for (const value of [1, 1.5, true, null, 1n, new Date(0), { a: "b" }, ["a"], new Uint8Array(3)]) {
    const frame = headerFrame({ contentType: "text/plain", headers: { first: "text", value } });
    assertEquals(isPlainDelivery(frame, 0), false, String(value));
  }
});

Deno.test("isPlainDelivery: whatever the bytes, what is plain can be read", () => {
  const change = fc.tuple(fc.nat(200), fc.nat(255));
  fc.assert(
    fc.property(others, strings, fc.array(change, { maxLength: 4 }), (rest, headers, changes) => {
      const frame = headerFrame({ ...rest, headers });
      for (const [at, value] of changes) {
        const index = 19 + at; // What comes before is no part of the properties.
        if (index < frame.length - 1) frame[index] = value;
      }
      if (!isPlainDelivery(frame, 0)) return;
      try {
        read(frame, 0);
      } catch (error) {
        // Only strings beside the headers may reach over the frame's end, as without headers.
        assert(error instanceof RangeError);
      }
    }),
    { numRuns: 2_000 },
  );
});
