import { assertEquals } from "@std/assert";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import fc from "fast-check";
import { FrameView } from "../../../src/amqp/frames/frame_view.ts";
import { decodeText } from "../../../src/amqp/frames/text.ts";
import {
  concat,
  entry,
  longString,
  shortString,
  u16,
  u32,
  u64,
  u8,
} from "../../support/raw_socket.ts";

/** So few letters that many names are alike; two that are no ASCII, and two that are no UTF-8, one a letter's code. */
const letter = fc.constantFrom([0x61], [0x62], [0xc3, 0xa9], [0xe2, 0x82, 0xac], [0xff], [0xe9]);
const name = fc.array(letter, { maxLength: 4 }).map((letters) => letters.flat());

Deno.test("FrameView: short strings keep every byte, whichever came before", () => {
  fc.assert(fc.property(fc.array(name, { minLength: 1, maxLength: 40 }), (names) => {
    const { buffer } = new Uint8Array(names.flatMap((bytes) => [bytes.length, ...bytes]));
    const view = new FrameView(buffer);
    let at = 0;
    for (const bytes of names) {
      const text = decodeText(new Uint8Array(bytes));
      assertEquals(view.getShortString(at), [text, 1 + bytes.length]);
      at += 1 + bytes.length;
    }
  }));
});

Deno.test("FrameView: strings in UTF-8 are what the library reads", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
    const { buffer } = concat(shortString(text), longString(text));
    const [view, theirs] = [new FrameView(buffer), new AMQPView(buffer)];
    const read = view.getShortString(0);
    assertEquals(read, theirs.getShortString(0));
    assertEquals(view.getLongString(read[1]), theirs.getLongString(read[1]));
  }));
});

/** The properties that all of a message's fields before the headers precede. */
const properties = concat(
  u16(0xe000),
  shortString("text/plain"),
  shortString("identity"),
  longString(concat(
    entry(new Uint8Array([0xfe]), "S", longString(new Uint8Array([0x61, 0xff]))),
    entry("bytes", "x", longString(new Uint8Array([1, 2, 3]))),
    entry("time", "T", u64(5n)),
    entry("wide", "B", u8(7)),
  )),
);

Deno.test("FrameView: headers keep bytes that are not UTF-8, and none of the frame's own", () => {
  const { buffer } = properties.slice();
  const [{ headers }, length] = new FrameView(buffer).getProperties(0);
  new Uint8Array(buffer).fill(0);
  assertEquals(length, properties.length);
  assertEquals(headers, {
    "\udcfe": "a\udcff",
    bytes: new Uint8Array([1, 2, 3]),
    time: new Date(5_000),
    wide: 7,
  });
});

Deno.test("FrameView: a number over 2^53 is read without a word on the console", () => {
  const { console } = globalThis;
  const { warn } = console;
  const warnings: unknown[] = [];
  console.warn = (...parts: unknown[]) => warnings.push(parts);
  try {
    const view = new FrameView(concat(u64(2n ** 60n), u32(1), u32(2)).buffer);
    assertEquals([view.getUint64(0), view.getUint64(8)], [2 ** 60, 2 ** 32 + 2]);
  } finally {
    console.warn = warn;
  }
  assertEquals(warnings, []);
});
