import { assertEquals } from "@std/assert";
import { StderrLines } from "../../../src/services/command/stderr_lines.ts";

function read(...pieces: (string | Uint8Array)[]) {
  const seen: string[] = [];
  const lines = new StderrLines((line) => seen.push(line));
  for (const piece of pieces) {
    lines.write(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
  }
  lines.end();
  return { seen, last: lines.last, skipped: lines.skipped };
}

Deno.test("StderrLines: lines as they end, however they come", () => {
  assertEquals(read("one\ntw", "o\r\n\n", "thr\u00e9e").seen, ["one", "two", "thrée"]);
  const [first, second] = [Uint8Array.of(0xc3), Uint8Array.of(0xa9, 10)];
  assertEquals(read(first, second), { seen: ["é"], last: "é", skipped: 0 });
  assertEquals(read(), { seen: [], last: "", skipped: 0 });
});

Deno.test("StderrLines: a long line is cut, and too many are counted; the last one is known", () => {
  assertEquals(read("x".repeat(3_000), "x".repeat(3_000), "\n").seen, ["x".repeat(4_096)]);
  const many = read(Array.from({ length: 1_500 }, (_, i) => `line ${i}\n`).join(""));
  assertEquals([many.seen.length, many.skipped, many.last], [1_000, 500, "line 1499"]);
});
