/**
 * What processes take, and what a client keeps.
 *
 * @module
 */
import { memoryOf } from "../../../tests/support/memory.ts";
import type { Program } from "../../../tests/support/process.ts";
import { type Bench, end } from "../bench.ts";
import { fibrpcCall, fibrpcServe, type Launch, onDeno } from "../launch.ts";
import type { Sample, Table } from "../table.ts";

const MEBIBYTE = 2 ** 20;

/** Of what programs/memory.ts prints. */
interface Memory {
  readonly heap: number;
  readonly resident: number;
}

/** See the module. */
export function memory(bench: Bench): Table[] {
  return [resident(bench), afterCalls(bench, bench.calls(25)), pending(bench, bench.calls(2.5))];
}

function resident(bench: Bench): Table {
  return {
    title: "resident memory of a process",
    columns: [{ key: "resident", title: "MiB" }],
    rows: [
      {
        name: "fibrpc serve, idle",
        measure: () => bench.withServer(fibrpcServe(), (_queue, { pid }) => residentOf(pid)),
      },
      {
        name: "fibrpc call, waiting",
        measure: () =>
          bench.withQueue(async (queue) => {
            const call = await bench.spawn(fibrpcCall("30"), ...bench.at(queue));
            try {
              await bench.waitForMessages(queue, 1);
              return await residentOf(call.pid);
            } finally {
              await end(call);
            }
          }),
      },
    ],
  };
}

async function residentOf(pid: number): Promise<Sample> {
  return { resident: (await memoryOf(pid))?.now };
}

function afterCalls(bench: Bench, calls: number): Table {
  return {
    title: `a client on Deno before and after ${calls} calls, its garbage collected`,
    rounds: 1,
    columns: [
      { key: "heapBefore", title: "heap before MiB", digits: 2 },
      { key: "heapAfter", title: "heap after MiB", digits: 2 },
      { key: "residentBefore", title: "resident before MiB", digits: 1 },
      { key: "residentAfter", title: "resident after MiB", digits: 1 },
    ],
    rows: [{
      name: "fibrpc",
      measure: () =>
        bench.withServer(fibrpcServe(), async (queue) => {
          const program = await bench.spawn(client("calls", calls), ...bench.at(queue));
          await program.write("go\n");
          const { before, after } = await result(program);
          return {
            heapBefore: before.heap / MEBIBYTE,
            heapAfter: after.heap / MEBIBYTE,
            residentBefore: before.resident / MEBIBYTE,
            residentAfter: after.resident / MEBIBYTE,
          };
        }),
    }],
  };
}

function pending(bench: Bench, calls: number): Table {
  return {
    title: `a client on Deno with ${calls} calls that wait for a server`,
    columns: [
      { key: "heap", title: "heap bytes/call" },
      { key: "resident", title: "resident bytes/call" },
    ],
    rows: [{
      name: "fibrpc",
      measure: () =>
        bench.withQueue(async (queue) => {
          const program = await bench.spawn(client("pending", calls), ...bench.at(queue));
          await program.write("go\n");
          await program.waitForStdout(/asked/);
          await bench.waitForMessages(queue, calls);
          await program.write("look\n");
          const { before, after } = await result(program);
          return {
            heap: (after.heap - before.heap) / calls,
            resident: (after.resident - before.resident) / calls,
          };
        }),
    }],
  };
}

function client(kind: string, calls: number): Launch {
  const launch = onDeno("memory.ts", `--kind=${kind}`, `--calls=${calls}`);
  const [run, ...args] = launch.args;
  return { ...launch, args: [run!, "--v8-flags=--expose-gc", ...args] };
}

async function result(program: Program): Promise<{ before: Memory; after: Memory }> {
  const [text] = await program.waitForStdout(/^\{.*\}$/m, 3_600_000);
  await program.waitForExit();
  return JSON.parse(text);
}
