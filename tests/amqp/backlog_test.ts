import { assertEquals } from "@std/assert";
import { Backlog } from "../../src/amqp/backlog.ts";

const MIB = 1024 * 1024;

/** Whether it was stuck after each of the writes: after how many ms, how many bytes, how many waiting. */
function stuck(...writes: [atMs: number, bytes: number, waiting: number][]): boolean[] {
  const backlog = new Backlog();
  return writes.map(([at, bytes, waiting]) => backlog.isStuck(bytes, waiting, 1_000_000 + at));
}

Deno.test("Backlog: a little may wait for ever", () => {
  assertEquals(stuck([0, 64 * MIB, 64 * MIB], [1e9, 0, 64 * MIB]), [false, false]);
});

Deno.test("Backlog: much may wait for five seconds", () => {
  const writes: [number, number, number][] = [
    [0, 1, 0],
    [10_000, 100 * MIB, 100 * MIB], // From now on, not from the write before.
    [15_000, MIB, 101 * MIB],
    [15_001, MIB, 102 * MIB],
  ];
  assertEquals(stuck(...writes), [false, false, false, true]);
});

Deno.test("Backlog: as long as something leaves, much more may come", () => {
  const writes = Array.from({ length: 20 }, (_, i): [number, number, number] => [
    i * 4_000,
    100 * MIB,
    (i + 1) * 100 * MIB - i, // A byte has left each time.
  ]);
  assertEquals(stuck(...writes), writes.map(() => false));
});
