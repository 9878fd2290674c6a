/**
 * Load with known answers and random faults, on a broker of its own:
 * `deno task soak --minutes 10 --seed 1`. It exits with 1 if any call was
 * answered wrong or lost. Ctrl-C ends it early, and leaves nothing behind.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { soak } from "../tests/support/soak.ts";

const encoder = new TextEncoder();

function say(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  say("usage: deno task soak [--minutes <number>] [--seed <whole number>]");
  Deno.exit(2);
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => interrupted.abort(signal));
}

const started = performance.now();
const time = () => `${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s`;
say(`${minutes} minutes of faults, --seed ${seed}`);
try {
  const report = await soak({
    durationMs: minutes * 60_000,
    seed,
    signal: interrupted.signal,
    onFault: (name) => say(`${time()}  ${name}`),
  });
  const { calls, right, wrong, resubmissions, dropped, faults, left, memory } = report;
  for (const text of wrong.slice(0, 20)) say(`WRONG ${text}`);
  say(`${time()}  done, --seed ${seed}`);
  say(`calls ${calls}, right ${right}, wrong ${wrong.length}, left in the queues ${left}`);
  say(`requests sent again ${resubmissions}, duplicate replies dropped ${dropped}`);
  for (const [name, count] of Object.entries(faults)) say(`${String(count).padStart(5)}  ${name}`);
  for (const line of memory) say(line);
  Deno.exit(wrong.length === 0 && right === calls && left === 0 ? 0 : 1);
} catch (error) {
  if (interrupted.signal.aborted) {
    say(`${time()}  ended by ${interrupted.signal.reason}`);
    Deno.exit(interrupted.signal.reason === "SIGINT" ? 130 : 143);
  }
  say(`FAILED after ${time()}, --seed ${seed}: ${error instanceof Error ? error.stack : error}`);
  Deno.exit(1);
}
