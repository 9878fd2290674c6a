/**
 * Measures fibrpc and its peers on one broker:
 *
 *     deno task bench [--only <scenario,...>] [--rounds <count>] [--calls <count>]
 *                     [--url <url>] [--json] [--ours-only]
 *
 * The programs have their turns round by round; a cell holds the median of the
 * rounds, and the least and the greatest. A private RabbitMQ is started unless
 * `--url` names one. Ctrl-C ends it early, and leaves nothing behind.
 *
 * @module
 */
import { Bench } from "./bench.ts";
import { describeEnvironment } from "./environment.ts";
import { type Options, readOptions, UsageError } from "./options.ts";
import { Peers } from "./peers.ts";
import { tableText } from "./report.ts";
import { SCENARIOS } from "./scenarios/scenarios.ts";
import { runTable, type TableResult } from "./table.ts";
import { messageOf } from "../../src/text.ts";

const encoder = new TextEncoder();

function print(text: string): void {
  const bytes = encoder.encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function say(text: string): void {
  Deno.stderr.writeSync(encoder.encode(`${text}\n`));
}

async function run(bench: Bench): Promise<void> {
  const { options } = bench;
  const peers = await Peers.find(bench);
  const environment = await describeEnvironment(bench.url, peers.versions);
  // Without the password that may be in a URL.
  const command = ["deno task bench", ...Deno.args].join(" ").replaceAll(/\/\/[^/@\s]*@/g, "//");
  if (!options.json) {
    print(command);
    for (const [name, value] of Object.entries(environment)) print(`${name}: ${value}`);
  }
  const scenarios: Record<string, TableResult[]> = {};
  for (const name of options.only) {
    const results: TableResult[] = scenarios[name] = [];
    for (const table of await SCENARIOS[name]!(bench, peers)) {
      const result = await runTable(table, options.rounds, (round, row) => {
        say(`${name}: round ${round}: ${row}`);
      });
      results.push(result);
      if (!options.json) print(`\n${name}: ${tableText(result)}`);
    }
    await bench.clear();
  }
  if (options.json) print(JSON.stringify({ command, environment, scenarios }));
}

function readOptionsOrExit(): Options {
  try {
    return readOptions(Deno.args, Object.keys(SCENARIOS));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(error.message);
    Deno.exit(2);
  }
}

const options = readOptionsOrExit();
let bench: Bench | undefined;
let interrupted = false;
for (const [signal, exitCode] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.addSignalListener(signal, async () => {
    if (interrupted) return;
    interrupted = true;
    await bench?.[Symbol.asyncDispose]();
    Deno.exit(exitCode);
  });
}

try {
  bench = await Bench.start(options);
  await run(bench);
} catch (error) {
  // What is ended by a signal fails for that; the listener sees to the exit.
  if (!interrupted) say(messageOf(error));
  Deno.exitCode = 1;
}
if (!interrupted) {
  await bench?.[Symbol.asyncDispose]();
  Deno.exit();
}
