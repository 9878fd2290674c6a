import { assert, assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, startBroker } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { Victim } from "../support/victim.ts";

/**
 * Since 4.0 RabbitMQ can be told to refuse transient queues, as 4.3 does. There
 * is nothing to test on an older one, hence no test: `scripts/rabbitmq4` gets
 * one that is new enough.
 */
async function canRefuse(): Promise<boolean> {
  if (Deno.env.get("FIBRPC_TEST_URL")) return false; // It has its own configuration.
  const { url } = await sharedBroker();
  await using socket = await RawSocket.open(url);
  return parseInt(socket.serverVersion) >= 4;
}

if (await canRefuse()) {
  Deno.test("serve: a broker that refuses transient queues gets a quorum queue, and serve says so", async () => {
    await using broker = await startBroker({
      management: true,
      config: "deprecated_features.permit.transient_nonexcl_queues = false",
    });
    await using victim = await Victim.start(broker.url);
    const { stderr } = victim.server;
    assertMatch(stderr, /refuses transient queues.*quorum/);
    assert(!/lost|can't connect/.test(stderr), stderr);
    await (await victim.neighbour())();
    const { type, durable } = (await broker.queue(victim.queue))!;
    assertEquals([type, durable], ["quorum", true]);
    // The suspects' queue as well: a request that comes back is answered.
    await using peer = await RawChannel.open(broker.url);
    await broker.closeConnections(({ clientName }) =>
      clientName?.startsWith("fibrpc serve") ?? false
    );
    await peer.send(victim.queue, "10");
    assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "55");
    await victim.assertUnharmed(300);
  });
}
