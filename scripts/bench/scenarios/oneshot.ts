/**
 * One call by a process of its own, from its start to its end.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcCall, fibrpcServe, type Launch } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

/** How often each process is started in a round, one after the other. */
const RUNS = 10;

/** See the module. */
export async function oneshot(bench: Bench, peers: Peers): Promise<Table[]> {
  const queue = bench.newQueue();
  await bench.spawn(fibrpcServe(), ...bench.at(queue));
  const row = (name: string, { args, ...client }: Launch): Row => ({
    name,
    missing: client.missing,
    measure: () =>
      bench.measureProcess({ ...client, args: [...args, "30"] }, queue, { runs: RUNS }),
  });
  const bundle = await bench.bundleCommandLine();
  return [{
    title: "fib(30), one call, the whole process",
    compare: { key: "wallMs", better: "less" },
    columns: [
      { key: "wallMs", title: "wall ms", digits: 1 },
      { key: "cpuMs", title: "CPU ms", digits: 1 },
    ],
    rows: [
      row("fibrpc call", fibrpcCall()),
      row("fibrpc call, bundle on Deno", {
        command: Deno.execPath(),
        args: ["run", "--quiet", "--no-config", "-A", bundle, "call"],
      }),
      row("pika tutorial", peers.tutorial("pika_client.py")),
      row("pika tutorial, direct reply-to", peers.tutorial("pika_client.py", "--direct")),
    ],
  }];
}
