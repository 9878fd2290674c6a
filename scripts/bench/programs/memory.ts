/**
 * What a client of ours keeps, after calls and while they wait:
 *
 *     memory.ts --url <url> --queue <queue> --kind calls|pending --calls <count>
 *
 * @module
 */
import { once } from "node:events";
import process from "node:process";
import { parseArgs } from "node:util";
import { FibonacciClient } from "../../../mod.ts";

const IN_FLIGHT = 256;

/** Longer than it takes to look. */
const TIMEOUT_MS = 3_600_000;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "" },
    queue: { type: "string", default: "" },
    kind: { type: "string" },
    calls: { type: "string", default: "1" },
  },
});
const calls = Number(values.calls);
const client = new FibonacciClient({
  url: values.url,
  queue: values.queue,
  timeoutMs: TIMEOUT_MS,
  maxPending: calls + IN_FLIGHT,
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function memory(): { heap: number; resident: number } {
  // With V8's flag --expose-gc.
  (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}

async function callMany(count: number): Promise<void> {
  let left = count;
  const callOn = async () => {
    while (left-- > 0) await client.call("30");
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, callOn));
}

async function wait(): Promise<void> {
  await once(process.stdin, "data");
}

await client.connect();
say("ready");
await wait();
if (values.kind === "calls") {
  // What is compiled by then is no part of it.
  await callMany(calls / 100);
  const before = memory();
  await callMany(calls);
  say(JSON.stringify({ before, after: memory() }));
} else {
  const before = memory();
  const pending = Array.from({ length: calls }, () => client.call("30").catch(() => {}));
  say("asked");
  await wait();
  say(JSON.stringify({ before, after: memory(), count: pending.length }));
}
await client.close();
process.exit(0);
