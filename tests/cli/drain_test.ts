/** How `fibrpc serve` ends on a signal. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine, READY } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

/** Takes a tenth of a second to compute where a processor is fast; F(10,000,000) has 2,089,877 digits. */
const SLOW = { n: 10_000_000, digits: 2_089_877 };

/** Takes a few tenths of a second, and less memory than the largest. */
const SLOWER = 40_000_000;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`drain: ${signal} answers what is in flight, and leaves the rest in the queue`, async () => {
    const queue = uniqueQueue("drain");
    await using peer = await RawChannel.open(broker.url);
    await peer.declare(queue);
    await peer.channel.confirmSelect(); // What is sent is in the queue.
    const requests = 30; // More than it computes until the signal comes.
    for (let i = 0; i < requests; i++) await peer.send(queue, `${SLOW.n}`);
    await using server = fibrpc
      .spawn(["serve", "--queue", queue, "--max-n", `${SLOW.n}`, "--prefetch", "2"]);
    await waitFor(async () => (await peer.look(queue)).messages <= requests - 2, {
      what: "two requests in flight",
    });
    server.kill(signal);
    assertEquals(await server.waitForExit(), { code: 0, signal: null });
    assertEquals(server.stdout, "");
    assertStringIncludes(server.stderr, signal);
    const drained = server.stderr.slice(server.stderr.indexOf(signal));
    assert(!/lost|Awaiting|"level":"(warning|error)/.test(drained), drained);
    const { messages, consumers } = await peer.look(queue);
    assert(messages > 0, "it took all");
    assertEquals(consumers, 0);
    const replies = await peer.waitForReplies(requests - messages);
    assertEquals(replies.length, requests - messages);
    assert(replies.length >= 2, "what was in flight is not answered");
    for (const { body } of replies) assertEquals(body!.length, SLOW.digits);
  });
}

for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const) {
  Deno.test(`drain: ${signal} with nothing in flight ends at once`, async () => {
    const queue = uniqueQueue("drain");
    await using server = await fibrpc.serve(queue);
    server.kill(signal);
    assertEquals(await server.waitForExit(10_000), { code: 0, signal: null });
    assertStringIncludes(server.stderr, `${signal}: draining: 0 requests`);
  });
}

for (
  const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGQUIT", 131], [
    "SIGTERM",
    143,
  ]] as const
) {
  Deno.test(`drain: a second signal (${signal}) ends at once, exit code ${code}`, async () => {
    const queue = uniqueQueue("drain");
    await using peer = await RawChannel.open(broker.url);
    await peer.declare(queue);
    await peer.channel.confirmSelect(); // What is sent is in the queue.
    const requests = 60; // Fewer than it takes in advance: none has to be computed first.
    for (let i = 0; i < requests; i++) await peer.send(queue, `${SLOWER}`);
    await using server = fibrpc.spawn(["serve", "--queue", queue, "--max-n", `${SLOWER}`]);
    await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "the delivery" });
    server.kill("SIGTERM");
    await server.waitForStderr(/SIGTERM: draining: \d+ requests are being finished/);
    // In the first half second it is the same signal.
    await waitFor(() => {
      server.kill(signal);
      return server.ended;
    }, { what: "its end", intervalMs: 100 });
    assertEquals(await server.waitForExit(), { code, signal: null });
    assertEquals(server.stderr.match(/draining/g)?.length, 1);
    const back = await waitFor(async () => (await peer.look(queue)).messages, {
      what: "the requests to be back in the queue",
    });
    assert(back > requests / 2, `only ${back} of ${requests}`);
  });
}

Deno.test("drain: its log says nothing of a lost broker, also with --exit-on-disconnect", async () => {
  const queue = uniqueQueue("drain");
  await using peer = await RawChannel.open(broker.url);
  await peer.declare(queue);
  await peer.send(queue, `${SLOWER}`);
  await using server = fibrpc
    .spawn(["serve", "--queue", queue, "--max-n", `${SLOWER}`, "--exit-on-disconnect"]);
  await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "the delivery" });
  server.kill("SIGTERM");
  assertEquals((await server.waitForExit()).code, 0);
  await peer.waitForReplies(1);
  const [, drain] = server.stderr.split(/^(?=.*SIGTERM: draining)/m);
  const records = drain!.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(records.map(({ level }) => level), ["info", "info"], drain);
  assertStringIncludes(records[1].message, "served 1 responses");
});

Deno.test("drain: a server whose SIGHUP is ignored, as by nohup, ignores it", async () => {
  const { command, args } = fibrpcCommand();
  const version = await fibrpc.run(["--version"]);
  if (!version.stdout.includes("(bun")) return; // The others can't know.
  const queue = uniqueQueue("drain");
  await using peer = await RawChannel.open(broker.url);
  await using server = spawn(
    "sh",
    ["-c", 'trap "" HUP; exec "$@"', "sh", command, ...args, "serve", "--queue", queue],
    { env: { FIBRPC_URL: broker.url } },
  );
  await server.waitForStderr(READY);
  server.kill("SIGHUP");
  await peer.send(queue, "30");
  await peer.waitForReplies(1);
  server.kill("SIGTERM");
  assertEquals(await server.waitForExit(), { code: 0, signal: null });
  assert(!server.stderr.includes("SIGHUP"), server.stderr);
});
