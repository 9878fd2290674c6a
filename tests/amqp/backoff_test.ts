import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { backoffMs } from "../../src/amqp/backoff.ts";

Deno.test("backoffMs: its bound doubles from 100 ms to 10 s", () => {
  const bounds = [1, 2, 3, 7, 8, 100, 2000].map((failures) => backoffMs(failures, 1));
  assertEquals(bounds, [100, 200, 400, 6400, 10_000, 10_000, 10_000]);
});

Deno.test("backoffMs: is any share of its bound", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.double({ min: 0, max: 1 }), (n, random) => {
      assertEquals(backoffMs(n, random), random * backoffMs(n, 1));
    }),
  );
});

Deno.test("backoffMs: differs from one client to the next", () => {
  const waits = Array.from({ length: 100 }, () => backoffMs(7));
  assertEquals(new Set(waits).size > 90, true);
  assertEquals(Math.min(...waits) < 3_200 && Math.max(...waits) > 3_200, true); // Of 6,400.
});
