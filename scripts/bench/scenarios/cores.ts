/**
 * Big numbers on one core and on all, and on two servers.
 *
 * @module
 */
import { type Bench, end } from "../bench.ts";
import { fibrpcServe, onDeno } from "../launch.ts";
import type { Table } from "../table.ts";

/** A share of a queue: how many expensive calls, and of what. */
const SHARED = { n: 1_000_000, calls: 60, inFlight: 60 };

/** Of these many calls at a time, each worker has its next at hand. */
const IN_FLIGHT = 16;

/** See the module. */
export function cores(bench: Bench): Table[] {
  const counts = [...new Set([navigator.hardwareConcurrency, 1])];
  return [
    ...[300_000, 1_000_000].flatMap((n) => [
      byWorkers(bench, n, counts),
      byProcesses(bench, n, counts),
    ]),
    fairness(bench),
  ];
}

/** As many of a larger n as take the same time. */
function callsOf(bench: Bench, n: number): number {
  return bench.calls(18_000 / n);
}

function byWorkers(bench: Bench, n: number, counts: readonly number[]): Table {
  const calls = { n, calls: callsOf(bench, n), inFlight: IN_FLIGHT };
  return {
    title: `fib(${n}), ${calls.calls} calls, ${IN_FLIGHT} in flight, one server`,
    compare: { key: "perSecond", better: "more" },
    columns: [
      { key: "perSecond", title: "calls/s", digits: 1 },
      { key: "clientUs", title: "client us/call" },
      { key: "serverUs", title: "server us/call" },
      { key: "brokerUs", title: "broker us/call" },
      { key: "busy", title: "cores busy", digits: 2 },
    ],
    rows: counts.map((workers) => ({
      name: `--workers ${workers}`,
      measure: () =>
        bench.withServer(
          fibrpcServe(`--workers=${workers}`),
          (queue, server) => bench.measureCalls(onDeno("fibrpc_client.ts"), calls, queue, server),
        ),
    })),
  };
}

/** The most that the machine allows: the same without calls. */
function byProcesses(bench: Bench, n: number, counts: readonly number[]): Table {
  const calls = { n, calls: Math.ceil(callsOf(bench, n) / 2), inFlight: 1 };
  return {
    title: `fib(${n}) ${calls.calls} times by each process, no calls`,
    compare: { key: "perSecond", better: "more" },
    columns: [{ key: "perSecond", title: "numbers/s", digits: 1 }],
    rows: counts.map((count) => ({
      name: `${count} ${count === 1 ? "process" : "processes"}`,
      async measure() {
        const programs = [];
        for (let k = 0; k < count; k++) {
          programs.push(await bench.spawnClient(onDeno("decimal.ts"), calls));
        }
        const results = await Promise.all(programs.map((program) => bench.go(program)));
        const seconds = Math.max(...results.map((result) => result.seconds));
        return { perSecond: count * calls.calls / seconds };
      },
    })),
  };
}

function fairness(bench: Bench): Table {
  const { n, calls } = SHARED;
  return {
    title: `${calls} calls of fib(${n}) at once, two servers with the default settings`,
    columns: [
      { key: "first", title: "by the first" },
      { key: "second", title: "by the second" },
      { key: "seconds", title: "s", digits: 2 },
    ],
    rows: [{
      name: "fibrpc",
      async measure() {
        const queue = bench.newQueue();
        const servers = [];
        for (let count = 0; count < 2; count++) {
          servers.push(await bench.spawn(fibrpcServe(), ...bench.at(queue)));
        }
        const { seconds } = await bench.measureCalls(onDeno("fibrpc_client.ts"), SHARED, queue);
        const served = [];
        for (const server of servers) {
          await end(server);
          served.push(Number(/served (\d+) responses/.exec(server.stderr)![1]));
        }
        await bench.deleteQueue(queue);
        return { first: served[0], second: served[1], seconds };
      },
    }],
  };
}
