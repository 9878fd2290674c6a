/**
 * Many calls at a time over one connection, to one server. The peers' replies
 * come by an exclusive queue, which suits each of them better than direct
 * reply-to.
 *
 * @module
 */
import type { Bench } from "../bench.ts";
import { fibrpcServe, type Launch, onDeno } from "../launch.ts";
import type { Peers } from "../peers.ts";
import type { Row, Table } from "../table.ts";

const IN_FLIGHT = 256;

/** Python's clients are several times as slow, and no faster after more calls. */
const PYTHON_PART = 1 / 4;

/** See the module. */
export function pipelined(bench: Bench, peers: Peers): Table[] {
  const ours = fibrpcServe();
  const row = (name: string, client: Launch, server: Launch, part = 1): Row => ({
    name,
    missing: client.missing ?? server.missing,
    measure: () =>
      bench.withServer(server, (queue, program) => {
        const calls = {
          calls: bench.calls(part),
          inFlight: IN_FLIGHT,
          warmUp: bench.calls(part / 2),
        };
        return bench.measureCalls(client, calls, queue, program);
      }),
  });
  return [{
    title: `fib(30), ${bench.calls(1)} calls, ${IN_FLIGHT} in flight, one connection, one server`,
    compare: { key: "perSecond", better: "more" },
    columns: [
      { key: "perSecond", title: "calls/s" },
      { key: "clientUs", title: "client us/call", digits: 1 },
      { key: "serverUs", title: "server us/call", digits: 1 },
      { key: "brokerUs", title: "broker us/call", digits: 1 },
    ],
    rows: [
      row("fibrpc on Deno, reply: queue", onDeno("fibrpc_client.ts", "--reply=queue"), ours),
      row(
        "the same with two headers",
        onDeno("fibrpc_client.ts", "--reply=queue", "--headers"),
        ours,
      ),
      row("fibrpc on Deno", onDeno("fibrpc_client.ts"), ours),
      row("fibrpc on Bun, reply: queue", peers.libraryOnBun("--reply=queue"), ours),
      row("fibrpc on Bun", peers.libraryOnBun(), ours),
      row(
        "amqplib",
        peers.node("amqplib_client.js", "--reply=queue"),
        peers.node("amqplib_server.js"),
      ),
      row(
        "rabbitmq-client",
        peers.node("rabbitmq_client_client.js", "--reply=queue"),
        peers.node("rabbitmq_client_server.js"),
      ),
      row("aio-pika, our server", peers.python("aio_pika_client.py"), ours, PYTHON_PART),
      row("pika, our server", peers.python("pika_client.py"), ours, PYTHON_PART),
    ],
  }];
}
