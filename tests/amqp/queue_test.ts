import { assertEquals } from "@std/assert";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import {
  declareExpiringQueue,
  ensureQueue,
  inspectQueue,
  type QueueType,
} from "../../src/amqp/queue.ts";
import { Connection } from "../../src/amqp/connection.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { closeChannel, startScriptedBroker } from "../support/scripted_broker.ts";
import { permitsTransientQueues } from "../support/transient_queues.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

const types: readonly QueueType[] = await permitsTransientQueues(broker.url)
  ? ["transient", "classic", "quorum"]
  : ["classic", "quorum"];

async function open(url = broker.url): Promise<Connection & AsyncDisposable> {
  const connection = await Connection.open(
    new BrokerUrl(url),
    { name: "queue test", heartbeatSeconds: 0 },
    10_000,
    new AbortController().signal,
  );
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
}

Deno.test("inspectQueue: tells whether it exists, its consumers and its messages", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using connection = await open();
  const queue = uniqueQueue("inspect");
  assertEquals(await inspectQueue(connection, queue), { found: false });
  await peer.declare(queue);
  await peer.send(queue, "1");
  assertEquals(await inspectQueue(connection, queue), { found: true, consumers: 0, messages: 1 });
});

Deno.test("inspectQueue: another connection's exclusive queue is unknown", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using connection = await open();
  assertEquals(await inspectQueue(connection, peer.replyTo), { found: "unknown" });
  assertEquals(connection.closed, false);
});

Deno.test("ensureQueue: who may neither look nor declare may still consume; who may look only may not", async () => {
  const NOT_FOUND = 404;
  for (const [look, expected] of [[403, "found"], [NOT_FOUND, "permission_denied"]] as const) {
    await using scripted = startScriptedBroker({
      answers: {
        "queue.declare": ({ channel, args }) => {
          const isPassive = (args.at(-5)! & 1) !== 0; // Before an empty table of arguments.
          return closeChannel(channel, isPassive ? look : 403, "NO");
        },
      },
    });
    await using connection = await open(scripted.url);
    const ensured = ensureQueue(connection, "queue", "classic");
    assertEquals(await ensured.catch((error) => error.code), expected);
  }
});

Deno.test("ensureQueue: declares each type, then finds it whatever is asked for", async () => {
  await using connection = await open();
  for (const type of types) {
    const queue = uniqueQueue("ensure");
    assertEquals(await ensureQueue(connection, queue, type), type);
    for (const other of types) assertEquals(await ensureQueue(connection, queue, other), "found");
    await (await connection.channel()).queueDelete(queue);
  }
});

Deno.test("declareExpiringQueue: makes it, tells what is in it, and leaves one that is declared otherwise", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using connection = await open();
  for (const type of ["classic", "quorum"] as const) {
    const queue = uniqueQueue("renew");
    const renew = () => declareExpiringQueue(connection, queue, type, 60_000);
    assertEquals(await renew(), { found: true, consumers: 0, messages: 0 });
    await peer.send(queue, "1");
    await waitFor(async () => (await renew())?.messages === 1, { what: "the message" });
    assertEquals(await declareExpiringQueue(connection, queue, type, 30_000), undefined);
    await peer.channel.queueDelete(queue);
  }
});

Deno.test("ensureQueue: servers that declare it differently at once all get it", async () => {
  const connections = await Promise.all(Array.from({ length: 6 }, open));
  try {
    for (let round = 0; round < 5; round++) {
      const queue = uniqueQueue("race");
      const results = await Promise.all(
        connections.map((connection, i) => ensureQueue(connection, queue, types[i % 2]!)),
      );
      assertEquals(results.every((result) => result === "found" || types.includes(result)), true);
    }
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
});
