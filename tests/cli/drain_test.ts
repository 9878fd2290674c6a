/** How `fibrpc serve` ends on a signal. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

/** Takes a few tenths of a second to compute, and less memory than the largest. */
const SLOW = 40_000_000;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`drain: ${signal} answers what is in flight, and leaves the rest in the queue`, async () => {
    const queue = uniqueQueue("drain");
    await using peer = await RawChannel.open(broker.url);
    await peer.declare(queue);
    await peer.channel.confirmSelect(); // What is sent is in the queue.
    const requests = 12;
    for (let i = 0; i < requests; i++) await peer.send(queue, `${SLOW}`);
    await using server = fibrpc
      .spawn(["serve", "--queue", queue, "--max-n", `${SLOW}`, "--prefetch", "2"]);
    await waitFor(async () => (await peer.look(queue)).messages <= requests - 2, {
      what: "two requests in flight",
    });
    server.kill(signal);
    assertEquals(await server.waitForExit(), { code: 0, signal: null });
    assertEquals(server.stdout, "");
    assertStringIncludes(server.stderr, signal);
    const drained = server.stderr.slice(server.stderr.indexOf(signal));
    assert(!/lost|Awaiting|"level":"(WARN|ERROR)/.test(drained), drained);
    const { messages, consumers } = await peer.look(queue);
    assert(messages > 0, "it took all");
    assertEquals(consumers, 0);
    const replies = await peer.waitForReplies(requests - messages);
    assertEquals(replies.length, requests - messages);
    assert(replies.length >= 2, "what was in flight is not answered");
    for (const { body } of replies) assertEquals(body!.length, 8_359_506);
  });
}

Deno.test("drain: nothing in flight ends at once", async () => {
  const queue = uniqueQueue("drain");
  await using server = await fibrpc.serve(queue);
  server.kill("SIGTERM");
  assertEquals(await server.waitForExit(10_000), { code: 0, signal: null });
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`drain: a second signal (${signal}) ends at once, exit code ${code}`, async () => {
    const queue = uniqueQueue("drain");
    await using peer = await RawChannel.open(broker.url);
    await peer.declare(queue);
    await peer.channel.confirmSelect(); // What is sent is in the queue.
    const requests = 60; // Fewer than it takes in advance: none has to be computed first.
    for (let i = 0; i < requests; i++) await peer.send(queue, `${SLOW}`);
    await using server = fibrpc.spawn(["serve", "--queue", queue, "--max-n", `${SLOW}`]);
    await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "the delivery" });
    server.kill("SIGTERM");
    await server.waitForStderr(/SIGTERM/);
    server.kill(signal);
    assertEquals(await server.waitForExit(), { code, signal: null });
    const back = await waitFor(async () => (await peer.look(queue)).messages, {
      what: "the requests to be back in the queue",
    });
    assert(back > requests / 2, `only ${back} of ${requests}`);
  });
}
