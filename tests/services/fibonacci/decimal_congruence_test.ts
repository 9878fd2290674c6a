import { assert } from "@std/assert";
import { fibonacciDecimal } from "../../../src/services/fibonacci/math/decimal.ts";
import { fibonacci } from "../../../src/services/fibonacci/math/fibonacci.ts";

// In a file, and so in a module graph, of its own: the roots of unity that it
// spoils are kept for later calls.
Deno.test("fibonacciDecimal() is exact even where the cosine is not", () => {
  const { cos } = Math;
  Math.cos = (x) => cos(x) * (1 + 1e-6);
  try {
    for (const n of [20_000, 50_001, 100_000]) {
      assert(fibonacciDecimal(n) === fibonacci(n).toString(), `F(${n})`);
    }
  } finally {
    Math.cos = cos;
  }
});
