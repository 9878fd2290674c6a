/**
 * Where the boundary `MIN_POOL_N` is from: each number computed here, and
 * computed by a worker.
 *
 * @module
 */
import { ComputePool } from "../../../src/services/fibonacci/pool/compute_pool.ts";
import { fibonacciDecimal } from "../../../src/services/fibonacci/math/decimal.ts";

const pool = new ComputePool({ workers: 1 });

for (const n of [30, 10_000, 100_000, 300_000, 1_000_000]) {
  Deno.bench(`F(${n}) here`, { group: `F(${n})`, baseline: true }, () => {
    fibonacciDecimal(n);
  });
  Deno.bench(`F(${n}) in a worker`, { group: `F(${n})` }, async () => {
    await pool.compute(n);
  });
}
