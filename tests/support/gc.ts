/**
 * The garbage collector, for tests that nothing is kept.
 *
 * @module
 */
import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose_gc");
const gc = vm.runInNewContext("gc") as () => void;

/** Collects what nothing refers to; what this turn has touched may be kept until the next. */
export async function collectGarbage(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  gc();
}

/** How many bytes of heap `task` leaves behind. */
export async function heapLeftBy(task: () => void | Promise<void>): Promise<number> {
  await collectGarbage();
  const before = Deno.memoryUsage().heapUsed;
  await task();
  await collectGarbage();
  return Deno.memoryUsage().heapUsed - before;
}
