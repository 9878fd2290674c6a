import { assert, assertEquals } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { spawnFibrpc } from "../support/fibrpc_command.ts";
import { assertNothingLost, Load } from "../support/load.ts";
import type { Program } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

async function startServer(queue: string): Promise<Program> {
  const args = ["serve", "--url", broker.url, "--queue", queue, "--heartbeat", "1"];
  const server = spawnFibrpc([...args, "--log-format", "text"]);
  await server.waitForStderr(/Awaiting RPC requests/);
  return server;
}

function startLoad(queue: string): Load {
  const client = { url: broker.url, queue, timeoutMs: 20_000 };
  return new Load({ clients: [client, { ...client, reply: "queue" }, client] });
}

Deno.test("fault: kill -9 of one of two servers loses no call", async () => {
  const queue = uniqueQueue("kill");
  await using first = await startServer(queue);
  await using _second = await startServer(queue);
  await using load = startLoad(queue);
  await load.flows();
  first.kill("SIGKILL");
  await first.status;
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
});

Deno.test("fault: SIGTERM of one of two servers loses no call and repeats none", async () => {
  const queue = uniqueQueue("term");
  await using first = await startServer(queue);
  await using _second = await startServer(queue);
  await using load = startLoad(queue);
  await load.flows();
  first.kill("SIGTERM");
  assertEquals((await first.status).code, 0);
  await load.flows();
  const { dropped, resubmissions } = await assertNothingLost(load, broker.url, queue);
  assertEquals([dropped, resubmissions], [0, 0]);
});

Deno.test("fault: one of two servers stopped for longer than its heartbeat loses no call", async () => {
  const queue = uniqueQueue("stop");
  await using first = await startServer(queue);
  await using _second = await startServer(queue);
  await using peer = await RawChannel.open(broker.url);
  await using load = startLoad(queue);
  await load.flows();
  first.kill("SIGSTOP");
  await waitFor(async () => (await peer.look(queue)).consumers === 1, {
    what: "the broker to miss its heartbeats",
  });
  await load.flows();
  first.kill("SIGCONT");
  await first.waitForStderr(/Awaiting RPC requests[^]*lost[^]*Awaiting RPC requests/);
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
});

Deno.test("fault: the only server killed and started again loses no call", async () => {
  const queue = uniqueQueue("only");
  const first = await startServer(queue);
  await using load = startLoad(queue);
  await load.flows();
  await first[Symbol.asyncDispose]();
  await using _second = await startServer(queue);
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
});

Deno.test("fault: SIGTERM of the only server under load answers what it holds, leaves the rest", async () => {
  const queue = uniqueQueue("drain");
  await using first = await startServer(queue);
  await using load = startLoad(queue);
  await load.flows();
  first.kill("SIGTERM");
  assertEquals((await first.status).code, 0);
  assert(!/go back to the queue/.test(first.stderr), first.stderr);
  await using _second = await startServer(queue);
  await load.flows();
  const { dropped } = await assertNothingLost(load, broker.url, queue);
  assertEquals(dropped, 0);
});
