/**
 * One call after the other on an open connection: how long one takes.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcServe, type Launch, onDeno } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

/** See the module. */
export function lone(bench: Bench, peers: Peers): Table[] {
  const calls = {
    n: 10,
    calls: bench.calls(1 / 40),
    inFlight: 1,
    warmUp: bench.calls(1 / 20),
  };
  const row = (name: string, client: Launch, server: Launch): Row => ({
    name,
    missing: client.missing ?? server.missing,
    measure: () =>
      bench.withServer(
        server,
        (queue, program) => bench.measureCalls(client, calls, queue, program),
      ),
  });
  const ours = fibrpcServe();
  const amqplib = peers.node("amqplib_server.js");
  const pika = peers.python("pika_client.py");
  return [{
    title: `fib(10), ${calls.calls} calls one after the other`,
    compare: { key: "p50Ms", better: "less" },
    columns: [
      { key: "p50Ms", title: "median ms", digits: 3 },
      { key: "p99Ms", title: "99th percentile ms", digits: 3 },
    ],
    rows: [
      row("fibrpc on Deno, reply: queue", onDeno("fibrpc_client.ts", "--reply=queue"), ours),
      row("fibrpc on Deno", onDeno("fibrpc_client.ts"), ours),
      row("amqplib", peers.node("amqplib_client.js", "--reply=queue"), amqplib),
      row("pika tutorial, its server", pika, peers.tutorial("pika_server.py")),
      row("pika tutorial, our server", pika, ours),
    ],
  }];
}
