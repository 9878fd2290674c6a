import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FrameReader } from "../../../src/amqp/frames/frame_reader.ts";

/** A frame of any type, channel and payload. */
function frame(type: number, channel: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(7 + payload.length + 1);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint16(1, channel);
  view.setUint32(3, payload.length);
  bytes.set(payload, 7);
  view.setUint8(7 + payload.length, 0xce);
  return bytes;
}

const frames = fc.array(
  fc.tuple(fc.nat(255), fc.nat(65_535), fc.uint8Array({ maxLength: 400 })),
  { maxLength: 20 },
);

Deno.test("FrameReader: whole frames come out, however the bytes come in", () => {
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 500 })), (parts, cuts) => {
    const sent = parts.map(([type, channel, payload]) => frame(type, channel, payload));
    const all = new Uint8Array(sent.flatMap((bytes) => [...bytes]));
    const got: Uint8Array[] = [];
    const reader = new FrameReader(({ buffer, byteOffset, byteLength }) =>
      got.push(new Uint8Array(buffer, byteOffset, byteLength).slice())
    );
    // One buffer for all that is read, as a socket's.
    const read = new Uint8Array(1_000);
    for (let at = 0; at < all.length;) {
      const piece = all.subarray(at, at + (cuts.shift() ?? 7));
      read.fill(0xff);
      read.set(piece, 3);
      reader.push(read.subarray(3, 3 + piece.length));
      at += piece.length;
    }
    assertEquals(got, sent);
  }));
});

Deno.test("FrameReader: a frame of many megabytes, as where the broker sets no limit", () => {
  const large = frame(3, 1, new Uint8Array(20_000_000).fill(7));
  const sizes: number[] = [];
  const reader = new FrameReader(({ byteLength }) => sizes.push(byteLength));
  for (let at = 0; at < large.length; at += 65_536) reader.push(large.subarray(at, at + 65_536));
  reader.push(frame(8, 0, new Uint8Array()));
  assertEquals(sizes, [large.length, 8]);
});
