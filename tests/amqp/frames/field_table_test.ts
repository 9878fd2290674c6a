import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import fc from "fast-check";
import { encodeTable, type FieldTable, withEntry } from "../../../src/amqp/frames/field_table.ts";
import { FrameView } from "../../../src/amqp/frames/frame_view.ts";
import { concat, entry, longString, nested, u16, u32, u64, u8 } from "../../support/raw_socket.ts";

/** What the AMQP library reads from what was written. */
function read(table: FieldTable): FieldTable {
  const bytes = encodeTable(table).slice();
  const [result, length] = new AMQPView(bytes.buffer).getTable(0);
  assertEquals(length, bytes.length);
  return result;
}

const text = fc.string({ unit: "binary", maxLength: 80 })
  // The library's decoder takes a mark at the beginning away.
  .filter((text) => !text.startsWith("\ufeff"));

const { table } = fc.letrec<{ table: FieldTable; field: unknown }>((tie) => ({
  field: fc.oneof(
    { depthSize: "small" },
    text,
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.maxSafeInteger().map((value) => value + 0),
    fc.double().filter((value) => !Object.is(value, -0)),
    fc.uint8Array(),
    fc.integer({ min: -(2 ** 40), max: 2 ** 40 }).map((seconds) => new Date(seconds * 1000)),
    fc.array(tie("field"), { maxLength: 4 }),
    tie("table"),
  ),
  table: fc.dictionary(text.filter((name) => name !== "__proto__"), tie("field"), {
    maxKeys: 6,
    noNullPrototype: true,
  }) as fc.Arbitrary<FieldTable>,
}));

Deno.test("encodeTable: the AMQP library reads what was written, of every type", () => {
  fc.assert(fc.property(table, (table) => assertEquals(read(table), table)));
});

Deno.test("encodeTable: a bigint is a 64-bit integer, undefined no entry", () => {
  assertEquals(read({ a: -(2n ** 53n), b: undefined, c: 2n }), { a: -(2 ** 53), c: 2 });
  assertEquals(
    encodeTable({ a: 2n ** 63n - 1n }),
    longString(entry("a", "l", u64(2n ** 63n - 1n))),
  );
});

Deno.test("encodeTable: what no field can hold is refused", () => {
  assertStringIncludes(
    assertThrows(() => encodeTable({ a: 2n ** 63n }), RangeError).message,
    "64 bits",
  );
  assertThrows(() => encodeTable({ a: new Date(NaN) }), RangeError);
  assertStringIncludes(
    assertThrows(() => encodeTable({ ["é".repeat(128)]: 1 }), RangeError).message,
    "255 bytes",
  );
  assertStringIncludes(
    assertThrows(() => encodeTable({ a: (() => {}) as unknown as string }), TypeError).message,
    "function",
  );
  assertEquals(encodeTable({ a: 1 }), longString(entry("a", "I", u32(1)))); // Nothing is left behind.
});

Deno.test("encodeTable: larger tables than any before", () => {
  for (const size of [2_000, 100_000]) {
    const table = { a: "x".repeat(size), b: new Uint8Array(size).fill(1), c: [1, 2, 3] };
    assertEquals(read(table), table);
  }
});

/** The headers of a message with these entries. */
function received(...entries: Uint8Array<ArrayBuffer>[]): FieldTable {
  const bytes = concat(u16(0x2000), longString(concat(...entries)));
  return new FrameView(bytes.buffer).getProperties(0)[0].headers!;
}

const NOT_UTF8 = new Uint8Array([0xff, 0xfe]);

/** What can be read, but says more than what is read. */
const entries = [
  entry("same", "b", u8(1)),
  entry("same", "s", u16(2)),
  entry("D", "D", concat(u8(2), u32(7))),
  entry("T", "T", u64(2n ** 62n)),
  entry("l", "l", u64(2n ** 60n + 1n)),
  entry(NOT_UTF8, "S", longString(NOT_UTF8)),
  entry("__proto__", "F", longString(entry("x", "t", u8(3)))),
  entry("deep", "A", nested("A", 50)),
];

Deno.test("encodeTable: headers that came with a message are written as they came", () => {
  assertEquals(encodeTable(received(...entries)), longString(concat(...entries)));
});

Deno.test("withEntry: sets one entry, whichever were there, and keeps the others' bytes", () => {
  const mine = entry("mine", "I", u32(3));
  const headers = received(entry("mine", "S", longString("theirs")), ...entries, mine, mine);
  const result = withEntry(headers, "mine", 3);
  assertEquals(result.mine, 3);
  assertEquals(encodeTable(result), longString(concat(...entries, mine)));
  assertEquals(headers.same, 2);
  // Once more, of what was not read but made.
  assertEquals(
    encodeTable(withEntry(result, "same", "x")).slice(-9),
    entry("same", "S", longString("x")).slice(-9),
  );
  assertEquals(read(withEntry({ a: 1, b: 2 }, "a", true)), { a: true, b: 2 });
  assertEquals(read(withEntry(undefined, "a", 1)), { a: 1 });
});
