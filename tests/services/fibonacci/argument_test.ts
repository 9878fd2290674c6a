import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { RpcError } from "../../../src/errors.ts";
import { checkArgument, decodeArgument } from "../../../src/services/fibonacci/argument.ts";

const LIMIT = { maxN: 1_000_000 };

const ACCEPTED: [string, number][] = [
  ["0", 0],
  ["30", 30],
  ["1000000", 1_000_000],
  [" 30\n", 30],
  ["\t\v\f\r\n 30 \t\v\f\r\n", 30],
  ["0030", 30],
  ["000", 0],
  ["0".repeat(1000) + "30", 30],
];

const INVALID = [
  "",
  " ",
  "\n",
  "-5",
  "-0",
  "+5",
  "3.0",
  "3,0",
  "3 0",
  "3\n0",
  "1_000",
  "0x1e",
  "0b11",
  "1e3",
  "30n",
  "NaN",
  "Infinity",
  "fib(30)",
  "\uff13\uff10", // full-width 30
  "\u0663\u0660", // Arabic-Indic 30
  "\u00b2", // superscript two
  "\u00a030", // no-break space
  "\u200930", // thin space
  "\ufeff30", // byte order mark
  "30\0",
  "\0",
  "/",
  ":",
  "\x08" + "30",
  "\x0e" + "30",
];

const TOO_LARGE = [
  "1000001",
  "0001000001",
  " 99999999 ",
  "9007199254740991",
  "9007199254740993",
  "9999999999999999",
  "10000000000000000",
  "18446744073709551646", // 2^64 + 30
  "1" + "0".repeat(400),
];

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function assertRefused(fn: () => unknown, code: string, name?: string): RpcError {
  const error = assertThrows(fn, RpcError);
  assertEquals(error.code, code, name);
  assert(!/[\p{C}\p{Zl}\p{Zp}]/u.test(error.message), JSON.stringify(error.message));
  assert(error.message.length < 500, `${error.message.length} characters`);
  return error;
}

Deno.test("decodeArgument() accepts decimal digits and whitespace around them", () => {
  for (const [text, n] of ACCEPTED) {
    assertEquals(decodeArgument(encode(text), LIMIT), n, JSON.stringify(text));
  }
});

Deno.test("decodeArgument() and checkArgument() refuse anything else", () => {
  for (const text of INVALID) {
    const name = JSON.stringify(text);
    assertRefused(() => decodeArgument(encode(text), LIMIT), "invalid_argument", name);
    assertRefused(() => checkArgument(text), "invalid_argument", name);
  }
});

Deno.test("decodeArgument() tells what is only too large", () => {
  for (const text of TOO_LARGE) {
    assertRefused(() => decodeArgument(encode(text), LIMIT), "out_of_range", text);
  }
});

Deno.test("decodeArgument() keeps any limit to the last unit", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (maxN) => {
    assertEquals(decodeArgument(encode(`${maxN}`), { maxN }), maxN);
    assertRefused(() => decodeArgument(encode(`${BigInt(maxN) + 1n}`), { maxN }), "out_of_range");
  }));
});

Deno.test("decodeArgument() refuses bodies that are not text", () => {
  const bodies: Record<string, number[]> = {
    "UTF-16, little end first": [0x33, 0, 0x30, 0],
    "UTF-16 with a byte order mark": [0xff, 0xfe, 0x33, 0, 0x30, 0],
    "a no-break space of Latin-1": [0xa0, 0x33, 0x30],
    "a byte over the digits' own": [0x33, 0xb0],
    "an unfinished character": [0x33, 0xef, 0xbc],
    "gzip": [0x1f, 0x8b, 8, 0, 0, 0],
  };
  for (const [name, bytes] of Object.entries(bodies)) {
    assertRefused(() => decodeArgument(Uint8Array.from(bytes), LIMIT), "invalid_argument", name);
  }
});

Deno.test("decodeArgument() either gives n or refuses, for any bytes", () => {
  const byte = fc.oneof(fc.constantFrom(...encode("0123456789 \n")), fc.nat(255));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 400 }), (bytes) => {
      const body = Uint8Array.from(bytes);
      const match = /^[ \t-\r]*([0-9]+)[ \t-\r]*$/.exec(String.fromCharCode(...bytes));
      if (match === null) {
        assertRefused(() => decodeArgument(body, LIMIT), "invalid_argument");
      } else if (BigInt(match[1]!) > 1_000_000n) {
        assertRefused(() => decodeArgument(body, LIMIT), "out_of_range");
      } else {
        assertEquals(decodeArgument(body, LIMIT), Number(match[1]));
      }
    }),
    { numRuns: 2000, examples: [[[0x33, 0x30]], [[0x20]]] },
  );
});

Deno.test("decodeArgument() judges a body of megabytes in linear time", () => {
  const size = 20_000_000;
  const start = performance.now();
  const digits = new Uint8Array(size).fill(0x39);
  assertRefused(() => decodeArgument(digits, LIMIT), "out_of_range");
  const blank = new Uint8Array(size).fill(0x20);
  assertRefused(() => decodeArgument(blank, LIMIT), "invalid_argument");
  const zeros = new Uint8Array(size).fill(0x30);
  assertEquals(decodeArgument(zeros, LIMIT), 0);
  zeros[size - 1] = 0x78;
  assertRefused(() => decodeArgument(zeros, LIMIT), "invalid_argument");
  // It takes about 50 ms; anything quadratic would take hours.
  assert(performance.now() - start < 5_000);
});

Deno.test("decodeArgument() leaves the body as it was", () => {
  const body = encode(" 0030\n");
  decodeArgument(body, LIMIT);
  assertEquals(body, encode(" 0030\n"));
});

Deno.test("refusals name the value and the limit", () => {
  const { message } = assertRefused(
    () => decodeArgument(encode(" 99999999 "), LIMIT),
    "out_of_range",
  );
  assertStringIncludes(message, "99999999");
  assertStringIncludes(message, "1000000");
  assertStringIncludes(
    assertRefused(() => checkArgument("-5"), "invalid_argument").message,
    '"-5"',
  );
});

Deno.test("refusals shorten a long value and name its length", () => {
  const texts = ["x".repeat(5000), "9".repeat(5000), "\u{1f600}".repeat(1250)];
  // Cut within a character, wherever the cut is.
  for (let i = 1; i < 4; i++) {
    texts.push("x".repeat(i) + "\u{1f600}".repeat(1249) + "x".repeat(4 - i));
  }
  for (const text of texts) {
    const error = assertThrows(() => decodeArgument(encode(text), LIMIT), RpcError);
    assertStringIncludes(error.message, text.slice(0, 20));
    assertStringIncludes(error.message, "5000 bytes");
    assert(error.message.length < 500);
  }
});

Deno.test("refusals name bytes that are not UTF-8 in hexadecimal", () => {
  const body = Uint8Array.of(0xff, 0xfe, 0x33, 0);
  assertMatch(
    assertRefused(() => decodeArgument(body, LIMIT), "invalid_argument").message,
    /4 bytes.*ff fe 33 00/,
  );
});

Deno.test("refusals hold no character that a terminal acts on", () => {
  for (
    const text of ["\x1b[31m", "\x9b31m", "\u202e30", "\u2028", "\x7f", "\ufeff30", "\u{e0041}"]
  ) {
    const { message } = assertRefused(() => checkArgument(text), "invalid_argument");
    assert(/^[ -~]*$/.test(message), JSON.stringify(message));
    assertStringIncludes(message, "\\u");
  }
});

Deno.test("checkArgument() gives the digits alone", () => {
  for (const [text, n] of ACCEPTED) assertEquals(checkArgument(text), String(n));
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 10n ** 300n }), fc.nat(5), (n, zeros) => {
    assertEquals(checkArgument(` ${"0".repeat(zeros)}${n}\n`), String(n));
  }));
});

Deno.test("checkArgument() has no limit of its own", () => {
  const digits = "9".repeat(1_000_000);
  assertEquals(checkArgument(digits) === digits, true);
});
