/** What bounds `fibrpc serve`: its computations, its end, its patience with the broker. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine, READY } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

/** Takes some tenths of a second: the most digits that a message holds. */
const SLOW = "80000000";

Deno.test("--max-time: a longer computation ends with resource_exhausted, and the server goes on", async () => {
  const queue = uniqueQueue("max-time");
  await using _server = await fibrpc.serve(queue, "--max-n", SLOW, "--max-time", "20ms");
  const { code, stdout, stderr } = await fibrpc.run(["call", SLOW, "30", "--queue", queue]);
  assertEquals([code, stdout], [1, "832040\n"]);
  assertMatch(stderr, /resource_exhausted: fib\(80000000\)/);
});

Deno.test("the caller's timeout stops a computation: nothing is sent that nobody waits for", async () => {
  const queue = uniqueQueue("caller-timeout");
  await using peer = await RawChannel.open(broker.url);
  await using server = await fibrpc.serve(queue, "--max-n", SLOW);
  await peer.send(queue, SLOW, { expiration: "20", correlationId: "late" });
  await peer.send(queue, "30", { correlationId: "in time" });
  const [reply] = await peer.waitForReplies(1);
  assertEquals(reply!.properties.correlationId, "in time");
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0);
  assertEquals(peer.replies.length, 1);
});

Deno.test("--drain-timeout: what isn't finished in time goes back, exit code 1", async () => {
  const queue = uniqueQueue("drain-timeout");
  await using peer = await RawChannel.open(broker.url);
  await using server = await fibrpc.serve(queue, "--max-n", SLOW, "--drain-timeout", "1ms");
  await peer.channel.confirmSelect(); // What is sent is in the queue.
  for (let i = 0; i < 8; i++) await peer.send(queue, SLOW);
  await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "the delivery" });
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 1);
  assertStringIncludes(server.stderr, "go back to the queue");
  await waitFor(async () => (await peer.look(queue)).messages + peer.replies.length === 8, {
    what: "every request to be answered or back in the queue",
  });
});

Deno.test("--allow-reply-to: only what a pattern matches is answered", async () => {
  const queue = uniqueQueue("allow");
  await using peer = await RawChannel.open(broker.url);
  await using _server = await fibrpc.serve(queue, "--allow-reply-to", "amq.rabbitmq.*", "x*z");
  await peer.send(queue, "30");
  const { code, stdout } = await fibrpc.run(["call", "30", "--queue", queue]);
  assertEquals([code, stdout], [0, "832040\n"]);
  assertEquals(peer.replies.length, 0);
  assertEquals((await peer.look(queue)).messages, 0);
});

Deno.test("--exit-on-disconnect: exit code 3 without a broker at the start", async () => {
  const outcome = await new CommandLine("amqp://127.0.0.1:1").run([
    "serve",
    "--exit-on-disconnect",
  ]);
  assertEquals([outcome.code, outcome.stdout], [3, ""]);
  assertMatch(outcome.stderr, /127\.0\.0\.1:1/);
  assertEquals(outcome.stderr.match(/"level":"error"/g)?.length, 1, outcome.stderr);
});

Deno.test("--exit-on-disconnect: exit code 3 when the broker goes", async () => {
  await using own = await startBroker();
  await using server = new CommandLine(own.url).spawn(["serve", "--exit-on-disconnect"]);
  await server.waitForStderr(READY);
  await own.kill();
  assertEquals((await server.waitForExit()).code, 3);
  assertEquals(server.stderr.match(/"level":"error"/g)?.length, 1, server.stderr);
});

for (const [args, isThere] of [[[], true], [["--no-quarantine"], false]] as const) {
  Deno.test(`serve ${args.join(" ")}: a queue for suspects is ${isThere ? "" : "not "}declared`, async () => {
    const queue = uniqueQueue("quarantine");
    await using peer = await RawChannel.open(broker.url);
    await using _server = await fibrpc.serve(queue, ...args);
    assertEquals((await fibrpc.run(["call", "30", "--queue", queue])).code, 0);
    const found = await peer.look(`${queue}.suspects`).then(() => true, () => false);
    assertEquals(found, isThere);
  });
}
