import { assert, assertEquals } from "@std/assert";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import { Connection } from "../../src/amqp/connection.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

function open(): Promise<Connection> {
  const options = { name: "publish test", heartbeatSeconds: 0 };
  return Connection.open(new BrokerUrl(broker.url), options, 30_000, new AbortController().signal);
}

Deno.test("Connection.publish: what can't be sent is refused, and costs nothing", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("publish");
  await peer.declare(queue);
  const connection = await open();
  const channel = await connection.openChannel();
  const large = { headers: { a: "x".repeat(200_000) } };
  const reasons = [
    connection.publish(channel, queue, "", { correlationId: "x".repeat(256) }),
    connection.publish(channel, queue, "", large),
  ].map((publish) => publish.then(() => "sent", String));
  assertEquals(
    (await Promise.all(reasons)).map((reason) => /255 bytes|fit into a frame/.exec(reason)?.[0]),
    ["255 bytes", "fit into a frame"],
  );
  await connection.publish(channel, queue, "after", {});
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the other message" });
  await channel.close();
  const closed = await connection.publish(channel, queue, "", {}).then(() => "sent", String);
  assert(/closed/.test(closed), closed);
  await connection.close();
});
