import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import type { Channel } from "../../src/amqp/channel.ts";
import { Connection } from "../../src/amqp/connection.ts";
import { replyCodeOf } from "../../src/amqp/failure.ts";
import { concat, shortString, u8 } from "../support/raw_socket.ts";
import {
  closeChannel,
  closeConnection,
  type Received,
  type Script,
  type ScriptedBroker,
  send,
  startScriptedBroker,
} from "../support/scripted_broker.ts";
import { waitFor } from "../support/wait.ts";

const never = new AbortController().signal;

interface Scene extends AsyncDisposable {
  readonly broker: ScriptedBroker;
  readonly connection: Connection;
  readonly channel: Channel;
}

/** A channel of a broker that does what a script says. */
async function open(answers: Script["answers"] = {}): Promise<Scene> {
  const broker = startScriptedBroker({ answers });
  const options = { name: "channel test", heartbeatSeconds: 0 };
  const url = new BrokerUrl(broker.url.replace("//", "//user:swordfish@"));
  const connection = await Connection.open(url, options, 20_000, never);
  const channel = await connection.openChannel();
  return {
    broker,
    connection,
    channel,
    async [Symbol.asyncDispose]() {
      await connection.close();
      await broker[Symbol.asyncDispose]();
    },
  };
}

const names = ({ broker }: Scene) => broker.received.map(({ name }) => name);
const refuse = ({ channel }: Received) => closeChannel(channel, 403, "ACCESS_REFUSED - no");

/** How a channel can end, and what is said of it. */
const ENDS: Record<string, [end: (scene: Scene) => unknown, reason: RegExp]> = {
  "the broker closes it": [
    ({ broker }) => broker.connections[0]!.send(closeChannel(1, 406, "PRECONDITION_FAILED - so")),
    /PRECONDITION_FAILED - so \(406\)$/,
  ],
  "the broker closes the connection": [
    ({ broker }) => broker.connections[0]!.send(closeConnection(320, "CONNECTION_FORCED - so")),
    /CONNECTION_FORCED - so \(320\)$/,
  ],
  "the connection breaks": [({ broker }) => broker.connections[0]!.close(), /closed|reset/i],
  "this side closes it": [({ channel }) => channel.close(), /the channel was closed/],
  "this side closes the connection": [({ connection }) => connection.close(), /closed/],
};

for (const [what, [end, reason]] of Object.entries(ENDS)) {
  Deno.test(`Channel.onEnd: says why, to all, once: ${what}`, async () => {
    await using scene = await open();
    const { channel } = scene;
    const reasons: string[] = [];
    for (let n = 0; n < 2; n++) channel.onEnd(({ message }) => reasons.push(message));
    const consumer = await channel.consume("queue", { noAck: true }, () => {});
    channel.ack(1);
    assertEquals([channel.isClosed, consumer.isActive], [false, true]);
    end(scene);
    assertMatch((await consumer.ended).message, reason);
    assertEquals(reasons.length, 2);
    channel.onEnd(({ message }) => reasons.push(message)); // It has ended.
    assertEquals([...new Set(reasons)].length, 1);
    assertEquals(reasons.length, 3);
    assertEquals([channel.isClosed, consumer.isActive], [true, false]);
    channel.close();
    assertEquals(reasons.length, 3);
    assertEquals(scene.connection.flushListeners.size, 0);
  });
}

Deno.test("Channel.consume: a close right behind the confirmation ends the consumer", async () => {
  await using scene = await open({
    "basic.consume": ({ channel }) =>
      concat(
        send("basic.consume-ok", channel, shortString("t")),
        closeChannel(channel, 404, "NOT_FOUND - gone"),
      ),
  });
  const consumer = await scene.channel.consume("queue", { noAck: true }, () => {});
  assertMatch((await consumer.ended).message, /NOT_FOUND - gone \(404\)/);
});

Deno.test("Channel.consume: a consumer ends alone when it is cancelled, by either side", async () => {
  await using scene = await open();
  const { broker, channel } = scene;
  const [ours, theirs] = [
    await channel.consume("queue", { noAck: true, tag: "ours" }, () => {}),
    await channel.consume("queue", { noAck: true, tag: "theirs" }, () => {}),
  ];
  await ours.cancel();
  await ours.cancel();
  broker.connections[0]!.send(send("basic.cancel", 1, shortString("theirs"), u8(1)));
  for (const consumer of [ours, theirs]) {
    assertMatch((await consumer.ended).message, /cancelled/);
    assertEquals(consumer.isActive, false);
  }
  assertEquals([channel.isClosed, broker.count("basic.cancel")], [false, 1]);
});

Deno.test("Channel.close: what was acknowledged leaves before it, and nothing after it", async () => {
  await using scene = await open();
  const { channel, broker } = scene;
  channel.ack(1);
  channel.reject(2, true);
  channel.close();
  channel.close();
  channel.ack(3);
  await waitFor(() => broker.count("channel.close") > 0, { what: "the close" });
  await scene.connection.close();
  assertEquals(names(scene).filter((name) => /^basic|^channel.close$/.test(name)), [
    "basic.reject",
    "basic.ack",
    "channel.close",
  ]);
});

Deno.test("Channel: what is refused says why, and holds neither the connection nor the password", async () => {
  const asks: ((channel: Channel) => Promise<unknown>)[] = [
    (channel) => channel.qos(1),
    (channel) => channel.declareQueue("queue", { passive: true }),
    (channel) => channel.consume("queue", { noAck: true }, () => {}),
  ];
  for (const ask of asks) {
    await using scene = await open({
      "basic.qos": refuse,
      "queue.declare": refuse,
      "basic.consume": refuse,
    });
    const error = await assertRejects(() => ask(scene.channel), Error, "ACCESS_REFUSED - no");
    assertEquals(replyCodeOf(error), 403);
    assert(!Deno.inspect(error, { depth: 10, showHidden: true }).includes("swordfish"));
    // The next one has no broker to ask.
    const closed = await assertRejects(() => ask(scene.channel), Error, "closed");
    assert(!Deno.inspect(closed, { depth: 10, showHidden: true }).includes("swordfish"));
  }
});

Deno.test("Connection.openChannel: what has ended is not kept, and its number is used again", async () => {
  await using scene = await open();
  for (let n = 0; n < 3; n++) {
    const channel = await scene.connection.openChannel();
    channel.close();
    await waitFor(() => scene.broker.count("channel.close") === n + 1, { what: "the close" });
    await channel.qos(1).catch(() => {});
  }
  const channels = scene.broker.received.filter(({ name }) => name === "channel.open");
  assert(new Set(channels.map(({ channel }) => channel)).size < 4);
});
