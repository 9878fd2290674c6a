/**
 * What all clients in JavaScript do, whatever library they call with and
 * whatever runs them: connect, say so, wait for the word, make the calls,
 * print what that took.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import process from "node:process";
import { parseArgs } from "node:util";

/**
 * @typedef {object} Place Where to call.
 * @property {string} url The broker.
 * @property {string} queue The request queue.
 * @property {string} reply How replies come back: "direct" or "queue".
 * @property {boolean} headers Whether requests have headers, such as those of traces.
 */

/**
 * @typedef {object} Caller An open connection.
 * @property {(n: string) => Promise<string> | string} call Asks for a number.
 * @property {() => unknown} close Closes it.
 */

/** @param {(place: Place) => Promise<Caller> | Caller} connect */
export async function runClient(connect) {
  const { values } = parseArgs({
    options: {
      url: { type: "string", default: "" },
      queue: { type: "string", default: "" },
      reply: { type: "string", default: "direct" },
      headers: { type: "boolean", default: false },
      n: { type: "string", default: "30" },
      calls: { type: "string", default: "1" },
      "in-flight": { type: "string", default: "1" },
      "warm-up": { type: "string", default: "0" },
    },
  });
  const { n } = values;
  const [calls, inFlight, warmUp] = [values.calls, values["in-flight"], values["warm-up"]].map(
    Number,
  );
  const caller = await connect(values);
  if (warmUp > 0) await measure(caller, n, warmUp, inFlight);
  say("ready");
  await once(process.stdin, "data");
  const result = await measure(caller, n, calls, inFlight);
  say(JSON.stringify(result));
  await caller.close();
  process.exit(0);
}

/**
 * @param {Caller} caller
 * @param {string} n
 * @param {number} calls
 * @param {number} inFlight
 */
async function measure(caller, n, calls, inFlight) {
  const times = new Float64Array(calls);
  let begun = 0;
  let ended = 0;
  const callOn = async () => {
    while (begun < calls) {
      begun += 1;
      const start = performance.now();
      const digits = await caller.call(n);
      times[ended] = performance.now() - start;
      if (digits.length !== digitsOf(n)) throw new Error(`fib(${n}) = ${digits.slice(0, 100)}`);
      if (ended === 0) say("answered");
      ended += 1;
    }
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, callOn));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const firstMs = times[0];
  times.sort();
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    firstMs,
    p50Ms: times[Math.floor(calls * 0.5)],
    p99Ms: times[Math.floor(calls * 0.99)],
  };
}

const lengths = new Map();

/**
 * How many digits the answer has: to see that it is one.
 *
 * @param {string} n
 */
function digitsOf(n) {
  let length = lengths.get(n);
  if (length === undefined) {
    const digits = Number(n) * Math.log10((1 + Math.sqrt(5)) / 2) - Math.log10(Math.sqrt(5));
    lengths.set(n, length = Math.floor(digits) + 1);
  }
  return length;
}

/** @param {string} line */
function say(line) {
  process.stdout.write(Buffer.from(`${line}\n`));
}
