import { assertEquals, assertStringIncludes } from "@std/assert";
import { ComputePool } from "../../../src/services/fibonacci/pool/compute_pool.ts";
import { fibonacciDecimal } from "../../../src/services/fibonacci/math/decimal.ts";
import { FibonacciServer } from "../../../src/services/fibonacci/server.ts";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { waitFor } from "../../support/wait.ts";

const broker = await sharedBroker();

/** Sends requests for direct replies, and goes before they are answered. */
async function leaveBehind(queue: string, numbers: readonly number[]): Promise<void> {
  await using peer = await RawChannel.open(broker.url);
  await peer.channel.basicConsume("amq.rabbitmq.reply-to", { noAck: true }, () => {});
  for (const n of numbers) await peer.send(queue, `${n}`, { replyTo: "amq.rabbitmq.reply-to" });
  await waitFor(async () => (await peer.look(queue)).messages === numbers.length, {
    what: "the requests to be in the queue",
  });
}

Deno.test("FibonacciServer: looks for the caller before a long computation, and not before a short one", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("gone");
  await peer.declare(queue);
  await leaveBehind(queue, [1_999_999, 2_000_000, 30]);
  await using server = new FibonacciServer({ url: broker.url, queue, maxN: 2_000_000 });
  await server.start();
  await waitFor(() => server.stats.responses + server.stats.abandoned === 3, {
    what: "the three requests to be settled",
  });
  const { responses, abandoned, rejected } = server.stats;
  assertEquals({ responses, abandoned, rejected }, { responses: 2, abandoned: 1, rejected: 0 });
});

Deno.test("FibonacciServer: a small call makes room for itself, a big one doesn't", async () => {
  const { smallCall } = ComputePool.prototype;
  let smallCalls = 0;
  ComputePool.prototype.smallCall = function () {
    smallCalls += 1;
    smallCall.call(this);
  };
  try {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("small");
    await using server = new FibonacciServer({ url: broker.url, queue });
    await server.start();
    for (const n of [100_000, 99_999, 30]) {
      await peer.send(queue, `${n}`, { correlationId: `${n}` });
    }
    for (const { body, properties } of await peer.waitForReplies(3)) {
      const expected = fibonacciDecimal(Number(properties.correlationId));
      assertEquals(new TextDecoder().decode(body!) === expected, true, properties.correlationId);
    }
    assertEquals(smallCalls, 2);
  } finally {
    ComputePool.prototype.smallCall = smallCall;
  }
});

Deno.test("FibonacciServer: what has more digits than a message may hold is refused, not computed", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("digits");
  await using server = new FibonacciServer({ url: broker.url, queue, maxN: 1_000_000_000 });
  await server.start();
  await peer.send(queue, "1000000000");
  const [reply] = await peer.waitForReplies(1);
  assertEquals(reply!.properties.headers?.["x-error-code"], "resource_exhausted");
  assertStringIncludes(reply!.bodyToString()!, "more digits");
});

Deno.test("FibonacciServer: close() ends the workers", async () => {
  const { close } = ComputePool.prototype;
  let closed = 0;
  ComputePool.prototype.close = function () {
    closed += 1;
    close.call(this);
  };
  try {
    const server = new FibonacciServer({ url: broker.url, queue: uniqueQueue("close") });
    await server.start();
    assertEquals(closed, 0);
    await server.close();
    assertEquals(closed, 1);
  } finally {
    ComputePool.prototype.close = close;
  }
});
