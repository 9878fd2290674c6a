/** `serve --exit-on-disconnect`: what counts as no connection, and what doesn't. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { freePorts } from "../support/ports.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { startProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine, READY } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);
const [nobody] = freePorts(1);
const AWAY = `amqp://127.0.0.1:${nobody}`;
const EXIT = "--exit-on-disconnect";

Deno.test("serve --exit-on-disconnect: no broker at the start, or a lost one, ends it with 3", async () => {
  const start = await fibrpc.run(["serve", EXIT], { env: { FIBRPC_URL: AWAY } });
  assertEquals(start.code, 3, start.stderr);
  assertMatch(start.stderr, /ECONNREFUSED/);

  await using proxy = await startProxy(Number(new URL(broker.url).port || 5672));
  const env = { FIBRPC_URL: proxy.url(broker.url) };
  await using server = fibrpc.spawn(["serve", EXIT, "--queue", uniqueQueue("exit")], { env });
  await server.waitForStderr(READY);
  proxy.reset();
  assertEquals((await server.waitForExit()).code, 3, server.stderr);
});

Deno.test("serve --exit-on-disconnect: another broker is tried before it ends", async () => {
  const env = { FIBRPC_URL: `${AWAY},${broker.url}` };
  await using server = fibrpc.spawn(["serve", EXIT, "--queue", uniqueQueue("exit")], { env });
  await server.waitForStderr(READY);
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0, server.stderr);
});

Deno.test("serve --exit-on-disconnect: a deleted queue is no lost broker", async () => {
  const queue = uniqueQueue("exit");
  await using peer = await RawChannel.open(broker.url);
  await using server = await fibrpc.serve(queue, EXIT);
  await peer.channel.queueDelete(queue);
  await server.waitForStderr(/the consumer was cancelled|Consumer cancelled/);
  await waitFor(() => peer.look(queue).then(({ consumers }) => consumers === 1, () => false), {
    what: "the queue and its consumer",
  });
  assert(!server.ended, server.stderr);
  assert(!/lost/.test(server.stderr), server.stderr);
  await peer.send(queue, "30");
  assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "832040");
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0, server.stderr);
});
