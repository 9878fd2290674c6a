import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { readLines } from "../../src/cli/io/lines.ts";

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function linesOf(chunks: Iterable<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  for await (const batch of readLines(stream(chunks))) lines.push(...batch.map(({ text }) => text));
  return lines;
}

/** `bytes`, cut at `cuts` (any numbers). */
function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
  return [...places, bytes.length].map((end, i) => bytes.subarray(places[i - 1] ?? 0, end));
}

Deno.test("readLines(): where the stream is cut makes no difference", async () => {
  // Characters of one to four bytes, so that cuts fall into them.
  const unit = fc.constantFrom("\n", "\r\n", "7", " ", "\t", "\u00e9", "\u20ac", "\u{1f407}");
  const cuts = fc.array(fc.nat(), { maxLength: 8 });
  await fc.assert(fc.asyncProperty(fc.string({ unit }), cuts, async (text, cuts) => {
    const expected = text.split(/\r?\n/).filter((line) => line.trim() !== "");
    const bytes = new TextEncoder().encode(text);
    assertEquals(await linesOf(cut(bytes, cuts)), expected);
    assertEquals(await linesOf(cut(bytes, bytes.keys().toArray())), expected);
  }));
});

const CONTENTS: [string, string, [number, string][]][] = [
  ["a byte order mark at the start is left out", "\uFEFF3\n", [[1, "3"]]],
  ["so is that of a file joined to another", "3\n\uFEFF4\r\n", [[1, "3"], [2, "4"]]],
  ["not one within a line", "3\uFEFF4", [[1, "3\uFEFF4"]]],
  ["a line of a mark alone is blank", "\uFEFF\n4", [[2, "4"]]],
  ["blank lines count", "\n \n\t\r\n\n3\n\n4\n\n", [[5, "3"], [7, "4"]]],
  ["a carriage return alone ends no line", "3\r4\r\n5", [[1, "3\r4"], [2, "5"]]],
  ["of two carriage returns one is left", "3\r\r\n", [[1, "3\r"]]],
  ["a zero byte is part of its line", "3\0\n", [[1, "3\0"]]],
];

for (const [what, text, expected] of CONTENTS) {
  Deno.test(`readLines(): ${what}`, async () => {
    const bytes = new TextEncoder().encode(text);
    for (const chunks of [[bytes], cut(bytes, bytes.keys().toArray())]) {
      const lines: [number, string][] = [];
      for await (const batch of readLines(stream(chunks))) {
        for (const { number, text } of batch) lines.push([number, text]);
      }
      assertEquals(lines, expected);
    }
  });
}

Deno.test("readLines(): an input that ends within a character is not cut to a number", async () => {
  assertEquals(await linesOf([new Uint8Array([0x33, 0xe2, 0x82])]), ["3\uFFFD"]);
});

Deno.test("readLines(): a line that never ends is refused, by its number", async () => {
  let chunks = 0;
  const input = async function* () {
    yield new TextEncoder().encode("1\n");
    for (;; chunks++) yield new Uint8Array(65_536);
  }();
  const lines = readLines(input);
  assertEquals((await lines.next()).value, [{ number: 1, text: "1" }]);
  const { message } = await assertRejects(() => lines.next(), Error);
  assertEquals(message, "line 2 is longer than 8388608 characters");
  assert(chunks <= 129, `${chunks} chunks`);
});

Deno.test("readLines(): gives lines as soon as they have ended", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const lines = readLines(async function* () {
    yield new TextEncoder().encode("1\n2\n3");
    await promise;
  }());
  assertEquals((await lines.next()).value, [{ number: 1, text: "1" }, { number: 2, text: "2" }]);
  resolve();
  assertEquals((await lines.next()).value, [{ number: 3, text: "3" }]);
  assertEquals((await lines.next()).done, true);
});

Deno.test("readLines(): a line of many chunks takes linear time", async () => {
  const chunk = new Uint8Array(1_000).fill(0x39);
  const [line, ...others] = await linesOf(Array(5_000).fill(chunk));
  assertEquals([line!.length, others.length], [5_000_000, 0]);
});

Deno.test("readLines(): the limit is each line's, not that of all lines", async () => {
  const chunk = new TextEncoder().encode(`${"9".repeat(65_533)}\n9`);
  const lines = await linesOf(Array(140).fill(chunk));
  assertEquals(lines.length, 141);
});
