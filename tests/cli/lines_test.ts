import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { readLines } from "../../src/cli/lines.ts";

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function linesOf(chunks: Iterable<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  for await (const batch of readLines(stream(chunks))) lines.push(...batch);
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

Deno.test("readLines(): a byte order mark at the start is left out", async () => {
  assertEquals(await linesOf([new Uint8Array([0xef, 0xbb, 0xbf, 0x33, 0x0a])]), ["3"]);
});

Deno.test("readLines(): gives lines as soon as they have ended", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const lines = readLines(async function* () {
    yield new TextEncoder().encode("1\n2\n3");
    await promise;
  }());
  assertEquals((await lines.next()).value, ["1", "2"]);
  resolve();
  assertEquals((await lines.next()).value, ["3"]);
  assertEquals((await lines.next()).done, true);
});

Deno.test("readLines(): a line of many chunks takes linear time", async () => {
  const chunk = new Uint8Array(1_000).fill(0x39);
  const [line, ...others] = await linesOf(Array(5_000).fill(chunk));
  assertEquals([line!.length, others.length], [5_000_000, 0]);
});
