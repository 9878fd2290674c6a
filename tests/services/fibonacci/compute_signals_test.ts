import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkpointOf,
  ComputeSignals,
} from "../../../src/services/fibonacci/pool/compute_signals.ts";

/** Whether a computation rests within so many milliseconds. */
function rests(checkpoint: () => void, withinMs: number): boolean {
  const { wait } = Atomics;
  let rested = false;
  Atomics.wait = () => {
    rested = true;
    return "timed-out";
  };
  try {
    for (const end = performance.now() + withinMs; !rested && performance.now() < end;) {
      checkpoint();
    }
  } finally {
    Atomics.wait = wait;
  }
  return rested;
}

Deno.test("checkpointOf(): rests while there are small calls, and not otherwise", () => {
  const signals = new ComputeSignals();
  const checkpoint = checkpointOf(signals.cells);
  assert(!rests(checkpoint, 5), "rests though there was no call");
  signals.smallCall();
  assert(rests(checkpoint, 5000), "no rest");
  assert(rests(checkpoint, 5000), "one rest only");
  for (const end = performance.now() + 150; performance.now() < end;) checkpoint();
  assert(!rests(checkpoint, 5), "rests though there is no call any more");
  signals.smallCall();
  assert(rests(checkpoint, 5000), "no rest");
});

Deno.test("checkpointOf(): throws for what was given up, until the next begins", () => {
  const signals = new ComputeSignals();
  const checkpoint = checkpointOf(signals.cells);
  checkpoint();
  signals.giveUp();
  assertEquals(assertThrows(checkpoint, Error).message, "given up");
  assertEquals(assertThrows(checkpoint, Error).message, "given up");
  signals.reset();
  checkpoint();
});

Deno.test("checkpointOf(): rests often and for as short as can be", () => {
  const signals = new ComputeSignals();
  const checkpoint = checkpointOf(signals.cells);
  const { now } = performance;
  const { wait } = Atomics;
  let time = 1_000;
  const rests: number[] = [];
  performance.now = () => time += 0.05; // As far apart as checkpoints are.
  Atomics.wait = (_cells: unknown, _index: unknown, _value: unknown, ms?: number) => {
    rests.push(ms!);
    return "timed-out";
  };
  try {
    signals.smallCall();
    const start = time;
    while (rests.length < 100 && time < start + 90) checkpoint();
    assert((time - start) / rests.length < 0.5, `a rest every ${(time - start) / 100} ms`);
    assert(Math.max(...rests) < 0.1, `rests of ${Math.max(...rests)} ms`);
  } finally {
    performance.now = now;
    Atomics.wait = wait;
  }
});
