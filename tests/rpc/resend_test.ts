import { assertEquals } from "@std/assert";
import { FibonacciClient } from "../../src/fibonacci/client.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

Deno.test("RpcClient: a request that vanished is sent again while others keep the queue busy", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("resend");
  await peer.declare(queue);
  await using client = new FibonacciClient({ url: broker.url, queue, resendAfterMs: 200 });
  const next = () =>
    waitFor(() => peer.channel.basicGet(queue, { noAck: true }), { what: "a request" });

  const vanished = client.fibonacci(7);
  assertEquals((await next()).bodyToString(), "7");
  const overtaking = client.fibonacci(8);
  const waiting = client.fibonacci(9);
  const { properties } = await next();
  await peer.channel.basicPublish("", properties.replyTo!, "21", {
    correlationId: properties.correlationId!,
  });
  assertEquals(await overtaking, 21n);

  await waitFor(() => client.stats.resubmissions > 0, { what: "it to be sent again" });
  for (const answer of ["34", "13"]) {
    const { properties } = await next();
    await peer.channel.basicPublish("", properties.replyTo!, answer, {
      correlationId: properties.correlationId!,
    });
  }
  assertEquals(await Promise.all([vanished, waiting]), [13n, 34n]);
});
