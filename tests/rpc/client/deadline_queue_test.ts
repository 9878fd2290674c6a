import { assert, assertEquals } from "@std/assert";
import { DeadlineQueue } from "../../../src/rpc/client/deadline_queue.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { heapLeftBy } from "../../support/gc.ts";
import { waitFor } from "../../support/wait.ts";

/** More than a test may take. */
const LONG_MS = 120_000;

Deno.test("DeadlineQueue: each item is told of once, at its time, the shorter ones first", async () => {
  const start = performance.now();
  const due: [string, number][] = [];
  const timers = new DeadlineQueue<string>((item) => due.push([item, performance.now() - start]));
  timers.set("long", 60);
  timers.set("first", 20);
  timers.set("cleared", 20);
  timers.set("second", 20);
  timers.clear("cleared", 20);
  await waitFor(() => due.length === 3, { what: "all to be due" });
  assertEquals(due.map(([item]) => item), ["first", "second", "long"]);
  for (const [item, ms] of due) assert(ms >= (item === "long" ? 59 : 19), `${item} after ${ms} ms`);
});

Deno.test("DeadlineQueue: those set later are due later, though one timer serves all", async () => {
  const due: number[] = [];
  const set: number[] = [];
  const timers = new DeadlineQueue<number>((item) => due.push(performance.now() - set[item]!));
  for (let item = 0; item < 5; item++) {
    set[item] = performance.now();
    timers.set(item, 20);
    await waitFor(() => performance.now() - set[item]! >= 5, { what: "5 ms to pass" });
  }
  await waitFor(() => due.length === 5, { what: "all to be due" });
  for (const ms of due) assert(ms >= 19, `after ${ms} ms`);
});

// The sanitizer fails this test if a timer is left.
Deno.test("DeadlineQueue: none is left when all are cleared", () => {
  const timers = new DeadlineQueue<number>(() => {});
  for (let item = 0; item < 100; item++) timers.set(item, 1_000 + item % 3);
  for (let item = 0; item < 100; item++) timers.clear(item, 1_000 + item % 3);
});

Deno.test("DeadlineQueue: one that is set when another is due delays none", async () => {
  const order: string[] = [];
  const timers = new DeadlineQueue<string>((item) => {
    order.push(item);
    if (item === "first") timers.set("third", LONG_MS);
  });
  const start = performance.now();
  timers.set("first", LONG_MS, start - LONG_MS + 1);
  timers.set("second", LONG_MS, start - LONG_MS + 20);
  await waitFor(() => order.length === 2, { what: "two to be due" });
  assertEquals(order, ["first", "second"]);
  timers.clear("third", LONG_MS);
});

Deno.test("DeadlineQueue: a length that no item has any more takes no memory", async () => {
  const timers = new DeadlineQueue<string>(() => {});
  const COUNT = 20_000;
  const left = await heapLeftBy(() => {
    using _clock = new FakeClock(); // The runtime keeps its own timers for a while.
    for (let ms = LONG_MS; ms < LONG_MS + COUNT; ms++) {
      timers.set("item", ms);
      timers.clear("item", ms);
    }
  });
  assert(left < 50 * COUNT, `${left} bytes`);
  timers.clear("item", LONG_MS);
});
