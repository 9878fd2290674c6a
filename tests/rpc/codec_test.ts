import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { RpcError } from "../../src/errors.ts";
import { bytes, type Codec, json, text } from "../../src/rpc/codec.ts";
import type { StandardResult, StandardSchema } from "../../src/rpc/standard_schema.ts";

/** What comes of a value on its way to the other end. */
function sent<Value>(codec: Codec<Value>, value: Value): Value {
  const body = codec.encode(value);
  return codec.decode(typeof body === "string" ? new TextEncoder().encode(body) : body, {});
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("text, bytes, json: give back any value, and name their content type", () => {
  const unicode = fc.string({ unit: "grapheme" });
  fc.assert(fc.property(unicode, (value) => assertEquals(sent(text, value), value)));
  fc.assert(fc.property(fc.uint8Array(), (value) => assertEquals(sent(bytes, value), value)));
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assertEquals(sent(json(), value), JSON.parse(JSON.stringify(value)));
    }),
  );
  assertEquals([text, bytes, json()].map(({ contentType }) => contentType), [
    "text/plain",
    "application/octet-stream",
    "application/json",
  ]);
});

Deno.test("text, json: refuse what is not UTF-8", () => {
  const body = new Uint8Array([0x22, 0xff, 0x22]);
  for (const codec of [text, json()]) assertThrows(() => codec.decode(body, {}), TypeError);
});

Deno.test("json: refuses what is no JSON, both ways", () => {
  assertThrows(() => json().decode(bytesOf("{"), {}), SyntaxError);
  assertThrows(() => json().decode(bytesOf(""), {}), SyntaxError);
  assertThrows(() => json().encode(undefined), TypeError, "undefined can't be written as JSON");
  assertThrows(() => json().encode(() => 1), TypeError, "function can't be written as JSON");
});

function schema<Value>(
  validate: (value: unknown) => StandardResult<Value> | Promise<StandardResult<Value>>,
): StandardSchema<Value> {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

Deno.test("json: a schema may change a value, and its issues are invalid_argument", () => {
  const codec = json(schema((value) => ({ value: Number(value) * 2 })));
  assertEquals(codec.decode(bytesOf("21"), {}), 42);
  const strict = json(schema<number>(() => ({
    issues: [
      { message: "no number", path: ["list", { key: 3 }, Symbol("end")] },
      { message: "too old" },
    ],
  })));
  const error = assertThrows(() => strict.decode(bytesOf("1"), {}), RpcError);
  assertEquals([error.code, error.message], [
    "invalid_argument",
    "list.3.Symbol(end): no number; too old",
  ]);
  assertEquals(error.details, {
    issues: [
      { path: "list.3.Symbol(end)", message: "no number" },
      { path: "", message: "too old" },
    ],
  });
});

Deno.test("json: a schema that validates later is a mistake of the program", () => {
  const codec = json(schema(() => Promise.resolve({ value: 1 })));
  assertThrows(() => codec.decode(bytesOf("1"), {}), TypeError, "validates later");
});
