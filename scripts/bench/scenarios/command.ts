/**
 * `fibrpc serve -- command` with a command that does next to nothing, against a
 * shell that runs it in a loop: what starting a process costs, and what fibrpc
 * adds to it.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcServe, type Launch, onDeno } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

/** Prints fib(30), which the client expects. */
const COMMAND = ["/usr/bin/printf", "832040"];

/** As a command gets its input and gives its output by pipes, so it does here. */
const LOOP = `
i=0
while [ $i -lt $1 ]; do
  output=$(${COMMAND.join(" ")} </dev/null)
  i=$((i + 1))
done`;

/** See the module. */
export function command(bench: Bench, _peers: Peers): Table[] {
  const calls = bench.calls(1 / 80);
  const served = (name: string, concurrency: number): Row => ({
    name,
    missing: undefined,
    measure: () => {
      const server = fibrpcServe(`--concurrency=${concurrency}`);
      const measured = { calls, inFlight: concurrency, warmUp: Math.ceil(calls / 4) };
      return bench.withServer(
        { ...server, lastArgs: ["--", ...COMMAND] },
        (queue, program) =>
          bench.measureCalls(onDeno("fibrpc_client.ts"), measured, queue, program),
      );
    },
  });
  const loop: Launch = { command: "/bin/sh", args: ["-c", LOOP, "sh", String(calls)] };
  return [{
    title: `a command that does nothing, ${calls} times`,
    compare: { key: "perSecond", better: "more" },
    columns: [{ key: "perSecond", title: "commands/s" }],
    rows: [
      served("fibrpc serve -- command, one at a time", 1),
      served("fibrpc serve -- command, two at a time", 2),
      {
        name: "a shell's loop",
        missing: undefined,
        async measure() {
          const start = performance.now();
          await bench.run(loop);
          return { perSecond: calls / (performance.now() - start) * 1000 };
        },
      },
    ],
  }];
}
