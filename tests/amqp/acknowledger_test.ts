import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Acknowledger } from "../../src/amqp/acknowledger.ts";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import { type AMQPMessage, Transport } from "../../src/amqp/transport.ts";
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
  const transport = await Transport.open(
    new BrokerUrl(broker.url),
    { name: "acknowledger test", heartbeatSeconds: 0 },
    10_000,
    new AbortController().signal,
  );
  const channel = await transport.openChannel();
  const acknowledger = new Acknowledger(transport, channel);
  const deliveries: AMQPMessage[] = [];
  await channel.basicConsume(queue, { noAck: false }, (message) => {
    deliveries.push(message);
  });
  for (let i = 0; i < count; i++) await peer.send(queue, String(i));
  await waitFor(() => deliveries.length === count, { what: "the deliveries" });
  for (let done = 0, turn = 0; done < count; turn++) {
    for (const index of order.slice(done, done += turns[turn % turns.length]!)) {
      const { deliveryTag } = deliveries[index]!;
      if (isRejected(index)) acknowledger.reject(deliveryTag, false);
      else acknowledger.ack(deliveryTag);
    }
    await new Promise((resolve) => setTimeout(resolve, 0)); // The next turn.
  }
  // A wrong tag would close the channel by now.
  const alive = await channel.basicQos(1).then(() => true, () => false);
  await transport.close();
  return { alive, left: (await peer.look(queue)).messages };
}

Deno.test("Acknowledger: any order, in turns of any size, settles each delivery once", async () => {
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

Deno.test("Acknowledger: what was not settled goes back", async () => {
  assertEquals(await settle(3, [2, 0], [2], () => false).catch(String), { alive: true, left: 1 });
});
