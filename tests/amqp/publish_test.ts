import { assertThrows } from "@std/assert";
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

Deno.test("Channel.publish: what can't be sent is refused, and costs nothing", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("publish");
  await peer.declare(queue);
  const connection = await open();
  const channel = await connection.openChannel();
  const large = { headers: { a: "x".repeat(200_000) } };
  const long = { correlationId: "x".repeat(256) };
  assertThrows(() => channel.publish(queue, "", long), RangeError, "255 bytes");
  assertThrows(() => channel.publish(queue, "", large), RangeError, "fit into a frame");
  channel.publish(queue, "after", {});
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the other message" });
  channel.close();
  assertThrows(() => channel.publish(queue, "", {}), Error, "closed");
  await connection.close();
});
