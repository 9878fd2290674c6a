/**
 * Small calls while the same server computes big ones.
 *
 * @module
 */
import { type Bench, end } from "../bench.ts";
import { fibrpcServe, onDeno } from "../launch.ts";
import type { Row, Table } from "../table.ts";

const BIG_N = 10_000_000;

/** More than are made before they are ended. */
const BIG_CALLS = 1_000_000;

/** See the module. */
export function blocking(bench: Bench): Table[] {
  const client = onDeno("fibrpc_client.ts");
  const cores = navigator.hardwareConcurrency;
  return [1, 16].map((inFlight) => {
    const calls = { calls: bench.calls(1 / 10), inFlight, warmUp: bench.calls(1 / 20) };
    /** Twice as many are asked for, so that there is always one to go on with. */
    const busy = (workers: number): Row => ({
      name: `${workers} fib(${BIG_N}) in progress (--workers ${workers})`,
      measure: () =>
        bench.withServer(
          fibrpcServe(`--max-n=${BIG_N}`, `--workers=${workers}`),
          async (queue, server) => {
            const big = { n: BIG_N, calls: BIG_CALLS, inFlight: 2 * workers };
            const load = await bench.spawnClient(client, big, queue);
            try {
              await load.write("go\n");
              await load.waitForStdout(/answered/);
              return await bench.measureCalls(client, calls, queue, server);
            } finally {
              await end(load);
            }
          },
        ),
    });
    return {
      title: `fib(30), ${calls.calls} calls, ${inFlight} in flight, one server with big ones too`,
      compare: { key: "p50Ms", better: "less" },
      columns: [
        { key: "p50Ms", title: "median ms", digits: 3 },
        { key: "p99Ms", title: "99th percentile ms", digits: 3 },
      ],
      rows: [
        {
          name: "nothing else in progress",
          measure: () =>
            bench.withServer(
              fibrpcServe(),
              (queue, server) => bench.measureCalls(client, calls, queue, server),
            ),
        },
        ...[...new Set([1, cores])].map(busy),
      ],
    };
  });
}
