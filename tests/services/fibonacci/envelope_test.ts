import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeEnvelope } from "../../../src/services/fibonacci/envelope.ts";

Deno.test("decodeEnvelope: keeps every digit", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 10n ** 300n }), (value) => {
    assertEquals(decodeEnvelope(`{"response": ${value}, "error": null}`), {
      response: String(value),
    });
    assertEquals(decodeEnvelope(`{"error":null,"response":"${value}"}\n`), {
      response: String(value),
    });
  }));
});

Deno.test("decodeEnvelope: the response is the object's own, wherever else there is one", () => {
  const big = "123456789012345678901234567890";
  const texts = [
    `{"meta":{"response":1},"response":${big}}`,
    `{"response":${big},"meta":{"response":1}}`,
    `{"list":[{"response":1},"response",":"],"response":${big}}`,
    `{"text":"\\"response\\":1,","response":${big}}`,
    `{"text":"}],\\\\","response":${big}}`,
    `{"resp\\u006fnse":${big}}`,
    `{"response":1,"response":${big}}`,
    `{"response":{"response":1},"response":${big}}`,
    ` {\n"error" : null ,\t"response"\r\n:\n${big}\n}\n`,
    `{"a":{},"b":[],"c":"","d":1e5,"e":-0.5,"f":true,"response":"${big}"}`,
  ];
  for (const text of texts) assertEquals(decodeEnvelope(text), { response: big }, text);
});

Deno.test("decodeEnvelope: as JSON.parse has it, whatever else the object holds", () => {
  const value = fc.oneof(fc.jsonValue(), fc.record({ response: fc.integer() }), fc.integer());
  const name = fc.constantFrom("response", "a", 'response":1', "\\", "resp\u00f6nse");
  fc.assert(fc.property(fc.array(fc.tuple(name, value)), fc.nat(4), (members, indent) => {
    const pairs = members.map(([name, value]) =>
      `${JSON.stringify(name)}:${JSON.stringify(value, undefined, indent)}`
    );
    const text = `{${pairs.join(",")}}`;
    const { response } = JSON.parse(text);
    const isInteger = Number.isSafeInteger(response) ||
      typeof response === "string" && /^-?\d+$/.test(response);
    const expected = isInteger ? String(response) : undefined;
    const decoded = decodeEnvelope(text);
    if (Number.isInteger(response) && !isInteger) return; // Written with or without an exponent.
    assertEquals(decoded, expected === undefined ? undefined : { response: expected }, text);
  }));
});

Deno.test("decodeEnvelope: a response of three million digits, as a number and as a string", () => {
  const digits = "7".repeat(3_000_000);
  for (const response of [digits, `"${digits}"`]) {
    const decoded = decodeEnvelope(`{"error":null,"response":${response}}`);
    assert(decoded !== undefined && "response" in decoded && decoded.response === digits);
  }
});

Deno.test("decodeEnvelope: an error wins over a response", () => {
  const both = decodeEnvelope('{"response": 1, "error": "n must not be negative"}');
  assertEquals(both, { error: "n must not be negative" });
  assertEquals(decodeEnvelope('{"response":null,"error":{"a":1}}'), { error: '{"a":1}' });
});

Deno.test("decodeEnvelope: nothing else is one", () => {
  const others = [
    "",
    "832040",
    "null",
    "[1]",
    "{}",
    '{"result": 1}',
    '{"response": null, "error": null}',
    '{"response": true}',
    '{"response": 1.5}',
    '{"response": 1e3}',
    '{"response": 1',
  ];
  for (const text of others) assertEquals(decodeEnvelope(text), undefined, text);
});
