import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeText, encodeText, writeUtf8 } from "../../../src/amqp/frames/text.ts";

/** Bytes among which there are all kinds of UTF-8, and of what only looks like it. */
const sequence = fc.oneof(
  fc.uint8Array({ maxLength: 3 }).map((bytes) => [...bytes]),
  fc.constantFrom(
    [0xef, 0xbf, 0xbd], // U+FFFD
    [0xef, 0xbb, 0xbf], // a byte order mark
    [0xc3, 0xa9],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xf4, 0x8f, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80], // over U+10FFFF
    [0xed, 0xb2, 0x80], // the surrogate that the byte 0x80 is read as
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80], // longer than need be
    [0xe0, 0x9f, 0xbf],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xe2, 0x82], // cut off
    [0xf8, 0x88, 0x80, 0x80, 0x80],
  ),
);
const anyBytes = fc.array(sequence, { maxLength: 60 })
  .map((sequences) => new Uint8Array(sequences.flat()));

Deno.test("decodeText, encodeText: give back any bytes", () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => assertEquals(encodeText(decodeText(bytes)), bytes)),
    { numRuns: 1_000 },
  );
});

Deno.test("decodeText, encodeText: are UTF-8 for what is", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
    const utf8 = new TextEncoder().encode(text);
    assertEquals(encodeText(text), utf8);
    assertEquals(decodeText(utf8), text);
  }));
});

Deno.test("decodeText: a byte that is not UTF-8 is one lone surrogate", () => {
  const bytes = new Uint8Array([0x61, 0xff, 0xc3, 0xc3, 0xa9, 0xef, 0xbf, 0xbd]);
  assertEquals(decodeText(bytes), "a\udcff\udcc3\u00e9\ufffd");
});

Deno.test("writeUtf8: a lone surrogate of a text that was not read is U+FFFD, short or long", () => {
  for (const padding of ["", "x".repeat(100)]) {
    const bytes = new Uint8Array(1_000);
    const text = `\udc80${padding}`;
    assertEquals(bytes.slice(0, writeUtf8(bytes, 0, text)), new TextEncoder().encode(text));
  }
});
