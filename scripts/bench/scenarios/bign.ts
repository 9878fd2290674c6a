/**
 * A number with a great many digits, against the library for that.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcServe, type Launch, onDeno } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

/** How often it is computed in a round. */
const CALLS = 20;

/** See the module. */
export function bign(bench: Bench, peers: Peers): Table[] {
  return [1_000_000, 10_000_000].map((n) => {
    const calls = { n, calls: CALLS, inFlight: 1 };
    const alone = (name: string, program: Launch): Row => ({
      name,
      missing: program.missing,
      measure: () => bench.measureCalls(program, calls),
    });
    return {
      title: `fib(${n}) with all its digits, ${CALLS} in a row`,
      compare: { key: "p50Ms", better: "less" },
      columns: [
        { key: "p50Ms", title: "median ms", digits: 1 },
        { key: "firstMs", title: "first ms", digits: 1 },
      ],
      rows: [
        {
          name: "fibrpc on Deno, a call",
          measure: () =>
            bench.withServer(
              fibrpcServe(`--max-n=${n}`),
              (queue, server) =>
                bench.measureCalls(onDeno("fibrpc_client.ts"), calls, queue, server),
            ),
        },
        alone("GMP, no call", peers.gmp()),
        alone("BigInt on Deno, no call", onDeno("bigint.ts")),
      ],
    };
  });
}
