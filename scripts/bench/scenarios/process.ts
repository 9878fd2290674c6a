/**
 * The same calls by whole processes, from a list of numbers to /dev/null.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcCall, fibrpcServe, type Launch } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

/** See the module. */
export async function process(bench: Bench, peers: Peers): Promise<Table[]> {
  const calls = bench.calls(1);
  const input = `${bench.folder}/numbers`;
  await Deno.writeTextFile(input, "30\n".repeat(calls));
  const row = (name: string, client: Launch, server: Launch): Row => ({
    name,
    missing: client.missing,
    measure: () =>
      bench.withServer(server, (queue) => bench.measureProcess(client, queue, { input })),
  });
  const ours = fibrpcServe();
  const amqplib = peers.node("amqplib_server.js");
  return [{
    title: `${calls} lines "30" on stdin, 256 in flight, the whole process`,
    compare: { key: "wallMs", better: "less" },
    columns: [
      { key: "wallMs", title: "wall ms" },
      { key: "cpuMs", title: "client CPU ms" },
    ],
    rows: [
      row("fibrpc call --reply queue", fibrpcCall("-", "--reply=queue"), ours),
      row("fibrpc call", fibrpcCall("-"), ours),
      row("amqplib", peers.node("amqplib_call.js", "--reply=queue"), amqplib),
    ],
  }];
}
