import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
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

/** The frames that bytes consist of. */
function split(bytes: Uint8Array): Uint8Array[] {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const size = 8 + new DataView(bytes.buffer).getUint32(at + 3);
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

const isPlain = (bytes: Uint8Array, at: number) => bytes[at]! % 2 === 0;

const frames = fc.array(
  fc.tuple(fc.nat(255), fc.nat(65_535), fc.uint8Array({ maxLength: 400 })),
  { maxLength: 20 },
);

Deno.test("FrameReader: whole frames come out, however the bytes come in", () => {
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 500 })), (parts, cuts) => {
    const sent = parts.map(([type, channel, payload]) => frame(type, channel, payload));
    const all = new Uint8Array(sent.flatMap((bytes) => [...bytes]));
    const got: Uint8Array[] = [];
    const reader = new FrameReader({
      frames({ buffer, byteOffset, byteLength }) {
        const told = split(new Uint8Array(buffer, byteOffset, byteLength).slice());
        assert(told.length === 1 || told.every((bytes) => isPlain(bytes, 0)));
        got.push(...told);
      },
      isPlain,
    });
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

Deno.test("FrameReader: a frame over the limit is none, whether it came whole or in parts", () => {
  for (const cut of [3, 7, 50, 200]) {
    const reader = new FrameReader({ frames: () => {}, isPlain });
    reader.maxBytes = 100;
    reader.push(frame(1, 0, new Uint8Array(92)));
    const large = frame(1, 0, new Uint8Array(93));
    const error = assertThrows(() => {
      reader.push(large.subarray(0, cut));
      reader.push(large.subarray(cut));
    }, Error);
    assertStringIncludes(error.message, "101 bytes");
  }
});

Deno.test("FrameReader: a frame of many megabytes, as where the broker sets no limit", () => {
  const large = frame(3, 1, new Uint8Array(20_000_000).fill(7));
  const sizes: number[] = [];
  const reader = new FrameReader({
    frames: ({ byteLength }) => void sizes.push(byteLength),
    isPlain,
  });
  for (let at = 0; at < large.length; at += 65_536) reader.push(large.subarray(at, at + 65_536));
  reader.push(frame(8, 0, new Uint8Array()));
  assertEquals(sizes, [large.length, 8]);
});

Deno.test("FrameReader: plain frames that come together are told of together, others alone", () => {
  const told: number[] = [];
  const reader = new FrameReader({
    frames: ({ buffer, byteOffset, byteLength }) =>
      void told.push(split(new Uint8Array(buffer, byteOffset, byteLength).slice()).length),
    isPlain,
  });
  const all = [2, 4, 2, 1, 3, 2, 8].flatMap((type) => [...frame(type, 1, new Uint8Array(3))]);
  reader.push(new Uint8Array(all));
  assertEquals(told, [3, 1, 1, 2]);
});
