import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import fc from "fast-check";
import { encodeTable, type FieldTable } from "../../../src/amqp/frames/field_table.ts";
import { entry, longString, u32, u64 } from "../../support/raw_socket.ts";

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
