import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { AckBatcher } from "../../src/amqp/ack_batcher.ts";
import type { Delivery } from "../../src/amqp/message.ts";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import { Connection } from "../../src/amqp/connection.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

/** Settles `count` deliveries in `order`, in turns of the sizes that `turns` repeats. */
async function settle(
  count: number,
  order: readonly number[],
  turns: readonly number[],
  isRejected: (index: number) => boolean,
): Promise<{ alive: boolean; left: number }> {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("ack");
  await peer.declare(queue);
  const connection = await Connection.open(
    new BrokerUrl(broker.url),
    { name: "acknowledger test", heartbeatSeconds: 0 },
    10_000,
    new AbortController().signal,
  );
  const channel = await connection.openChannel();
  const deliveries: Delivery[] = [];
  await channel.consume(queue, { noAck: false }, (message) => {
    deliveries.push(message);
  });
  for (let i = 0; i < count; i++) await peer.send(queue, String(i));
  await waitFor(() => deliveries.length === count, { what: "the deliveries" });
  for (let done = 0, turn = 0; done < count; turn++) {
    for (const index of order.slice(done, done += turns[turn % turns.length]!)) {
      const { deliveryTag } = deliveries[index]!;
      if (isRejected(index)) channel.reject(deliveryTag, false);
      else channel.ack(deliveryTag);
    }
    await new Promise((resolve) => setTimeout(resolve, 0)); // The next turn.
  }
  // A wrong tag would close the channel by now.
  const alive = await channel.qos(1).then(() => true, () => false);
  await connection.close();
  return { alive, left: (await peer.look(queue)).messages };
}

Deno.test("AckBatcher: any order, in turns of any size, settles each delivery once", async () => {
  const COUNT = 30;
  const all = Array.from({ length: COUNT }, (_, index) => index);
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(all, { minLength: COUNT }),
      fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 5 }),
      fc.func(fc.boolean()),
      async (order, turns, isRejected) => {
        const result = await settle(COUNT, order, turns, isRejected);
        assertEquals(result, { alive: true, left: 0 });
      },
    ),
    { numRuns: 25 },
  );
});

Deno.test("AckBatcher: what was not settled goes back", async () => {
  assertEquals(await settle(3, [2, 0], [2], () => false).catch(String), { alive: true, left: 1 });
});

/** An acknowledger whose turns end by hand, and what it sends. */
function scripted() {
  const sent: string[] = [];
  const say = (text: string) => {
    sent.push(text);
    return Promise.resolve();
  };
  const channel = {
    basicAck: (tag: number, multiple: boolean) => say(`ack ${tag}${multiple ? " multiple" : ""}`),
    basicReject: (tag: number, requeue: boolean) =>
      say(`reject ${tag}${requeue ? " requeue" : ""}`),
  };
  const flushListeners = new Set<() => void>();
  let scheduled = 0;
  const writer = { flushListeners, scheduleFlush: () => void scheduled++ };
  const acknowledger = new AckBatcher(writer, channel);
  return {
    acknowledger,
    flushListeners,
    get scheduled() {
      return scheduled;
    },
    flush(): string[] {
      for (const hook of flushListeners) hook();
      return sent.splice(0);
    },
  };
}

Deno.test("AckBatcher: one ack for a turn's run, also over what was rejected", () => {
  const { acknowledger, flush } = scripted();
  acknowledger.reject(1, false);
  for (const tag of [2, 3]) acknowledger.ack(tag);
  acknowledger.reject(4, true);
  acknowledger.ack(5);
  assertEquals(flush(), ["reject 1", "reject 4 requeue", "ack 5 multiple"]);
  assertEquals(flush(), []);
});

Deno.test("AckBatcher: what overtook is acknowledged alone, and never again", () => {
  const { acknowledger, flush } = scripted();
  acknowledger.ack(3);
  acknowledger.ack(5);
  assertEquals(flush(), ["ack 3", "ack 5"]);
  acknowledger.ack(1);
  acknowledger.ack(2);
  assertEquals(flush(), ["ack 2 multiple"]);
  acknowledger.ack(4);
  assertEquals(flush(), ["ack 4"]);
  // All is finished up to 5: nothing is kept of those that overtook.
  for (const tag of [6, 7, 8]) acknowledger.ack(tag);
  assertEquals(flush(), ["ack 8 multiple"]);
});

Deno.test("AckBatcher: an ack asks for a write; stopped, it leaves nothing with its connection", () => {
  const scene = scripted();
  scene.acknowledger.ack(1);
  assertEquals([scene.scheduled, scene.flushListeners.size], [1, 1]);
  scene.acknowledger.stop();
  assertEquals([scene.flush(), scene.flushListeners.size], [[], 0]);
});
