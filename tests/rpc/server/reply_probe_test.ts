import { assert, assertEquals } from "@std/assert";
import { BrokerUrl } from "../../../src/amqp/broker_url.ts";
import { ReplyProbe } from "../../../src/rpc/server/reply_to/reply_probe.ts";
import { sharedBroker, startBroker, uniqueQueue } from "../../support/broker.ts";
import { goneAddress } from "../../support/direct_address.ts";
import { startProxy } from "../../support/proxy.ts";
import { RawChannel } from "../../support/raw_channel.ts";

const broker = await sharedBroker();
const port = Number(new URL(broker.url).port || 5672);

/** A probe that is closed with the test. */
function open(): ReplyProbe & AsyncDisposable {
  const probe = new ReplyProbe({ name: "test", heartbeatSeconds: 0 });
  return Object.assign(probe, { [Symbol.asyncDispose]: () => probe.close() });
}

Deno.test("ReplyProbe.look: found, missing, unseen, and lost where it costs the connection", async () => {
  const url = new BrokerUrl(broker.url);
  await using peer = await RawChannel.open(broker.url);
  await using probe = open();
  const queue = uniqueQueue("probe");
  await peer.declare(queue);
  assertEquals(await probe.look(url, queue), "found");
  assertEquals(await probe.look(url, uniqueQueue("missing")), "missing");
  assertEquals(await probe.look(url, peer.replyTo), "unseen"); // Exclusive.
  assertEquals(await probe.look(url, await goneAddress(broker.url)), "missing");
  assertEquals(await probe.look(url, "amq.rabbitmq.reply-to.garbage.garbage"), "lost");
  assertEquals(await probe.look(url, queue), "found"); // On another connection.
  assertEquals(await probe.look(new BrokerUrl("amqp://127.0.0.1:1"), queue), "unseen");
  await peer.channel.queueDelete(queue);
});

Deno.test("ReplyProbe: what one broker answers counts for no other", async () => {
  await using other = await startBroker();
  await using peer = await RawChannel.open(broker.url);
  await using probe = open();
  const queue = uniqueQueue("probe");
  await peer.declare(queue);
  const [here, there] = [new BrokerUrl(broker.url), new BrokerUrl(other.url)];
  for (let round = 0; round < 2; round++) {
    assertEquals(await probe.look(here, queue), "found");
    assertEquals(await probe.look(there, queue), "missing");
    assert(await probe.isGone(there, queue));
    assert(!await probe.isGone(here, queue));
  }
  await peer.channel.queueDelete(queue);
});

Deno.test("ReplyProbe: looks overlap, and one connection serves them", async () => {
  await using proxy = await startProxy(port);
  const url = new BrokerUrl(proxy.url(broker.url));
  await using peer = await RawChannel.open(broker.url);
  await using probe = open();
  const queue = uniqueQueue("probe");
  await peer.declare(queue);
  const looks = Array.from({ length: 50 }, () => probe.look(url, queue));
  assertEquals([...new Set(await Promise.all(looks))], ["found"]);
  assertEquals(proxy.accepted, 1);
  // Callers are not looked for by so many looks.
  const gone = Array.from({ length: 50 }, () => probe.isGone(url, uniqueQueue("missing")));
  const count = (await Promise.all(gone)).filter((isGone) => isGone).length;
  assertEquals(count, 16);
  await peer.channel.queueDelete(queue);
});

Deno.test("ReplyProbe: an answer that doesn't come is not waited for again and again", async () => {
  await using proxy = await startProxy(port);
  const url = new BrokerUrl(proxy.url(broker.url));
  await using probe = open();
  const queue = uniqueQueue("missing");
  assert(await probe.isGone(url, queue));
  proxy.blackhole();
  const start = performance.now();
  const looks = Array.from({ length: 8 }, () => probe.isGone(url, queue));
  assertEquals(await Promise.all(looks), looks.map(() => false));
  assert(performance.now() - start < 5_000, "one after the other");
  // Callers count as present for a while, without a look.
  const again = performance.now();
  for (let call = 0; call < 100; call++) assert(!await probe.isGone(url, queue));
  assert(performance.now() - again < 900);
});
