import { assertEquals } from "@std/assert";
import { seedOf } from "../support/random.ts";
import { soak } from "../support/soak.ts";

const seed = seedOf();

Deno.test(`soak: random faults under load lose no call (FIBRPC_TEST_SEED=${seed})`, async () => {
  const faults: string[] = [];
  const onFault = (name: string) => faults.push(name);
  // The broker's own end has a test of its own.
  const report = await soak({ durationMs: 15_000, restarts: false, seed, onFault }).catch(
    (error) => {
      throw new Error(`after ${faults.join(", ")}: ${error}`, { cause: error });
    },
  );
  assertEquals(report.wrong, []);
  assertEquals([report.right, report.left], [report.calls, 0]);
});
