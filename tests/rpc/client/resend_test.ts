/** What is sent again, and what never is: see `ServiceTarget.idempotent`. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { AMQPMessage } from "@cloudamqp/amqp-client";
import { RpcError } from "../../../src/errors.ts";
import { RpcClient } from "../../../src/rpc/client/client.ts";
import { RpcServer } from "../../../src/rpc/server/server.ts";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { startProxy } from "../../support/proxy.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { concat, shortString } from "../../support/raw_socket.ts";
import {
  closeChannel,
  consumerTag,
  send,
  startScriptedBroker,
} from "../../support/scripted_broker.ts";
import { EchoClient, texts } from "../../support/services.ts";
import { waitFor } from "../../support/wait.ts";

const broker = await sharedBroker();
const port = Number(new URL(broker.url).port || 5672);

/** Takes the next request, which is lost unless it is answered. */
function next(peer: RawChannel, queue: string): Promise<AMQPMessage> {
  return waitFor(() => peer.channel.basicGet(queue, { noAck: true }), { what: "a request" });
}

async function answer(peer: RawChannel, { properties }: AMQPMessage, body: string): Promise<void> {
  const { replyTo, correlationId } = properties;
  await peer.channel.basicPublish("", replyTo!, body, { correlationId: correlationId! });
}

Deno.test("resend: a request that vanished goes out again while others keep the queue busy", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("resend");
  await peer.declare(queue);
  const resendAfterMs = 200;
  await using client = new EchoClient({ url: broker.url, queue, resendAfterMs });

  const vanished = client.echo("7");
  const first = await next(peer, queue);
  assertEquals(first.bodyToString(), "7");
  const overtaking = client.echo("8");
  const waiting = client.echo("9");
  await answer(peer, await next(peer, queue), "21");
  assertEquals(await overtaking, "21");

  await waitFor(() => client.stats.resubmissions > 0, { what: "it to be sent again" });
  await answer(peer, await next(peer, queue), "34");
  const again = await next(peer, queue);
  await answer(peer, again, "13");
  assertEquals(await Promise.all([vanished, waiting]), ["13", "34"]);
  // The broker drops it when the call's time is up, which goes on.
  const [before, after] = [first, again].map(({ properties }) => Number(properties.expiration));
  assert(after! <= before! - resendAfterMs, `${before} ms, then ${after}`);
});

Deno.test("resend: a long call of a service runs once, on whichever of its servers", async () => {
  const queue = uniqueQueue("once");
  const ran: string[] = [];
  const service = texts(queue);
  const servers = Array.from({ length: 3 }, () => {
    const server = new RpcServer({ url: broker.url });
    server.serve(service, async (text) => {
      ran.push(text);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return text;
    });
    return server;
  });
  try {
    for (const server of servers) await server.start();
    await using client = new RpcClient({ url: broker.url, resendAfterMs: 100 });
    // Others are answered meanwhile: the queue is empty, and it was overtaken.
    assertEquals(await Promise.all([client.call(service, "a"), client.call(service, "b")]), [
      "a",
      "b",
    ]);
    // So long that nobody doubts it is lost, it would be sent again: not while a server has it.
    await using idempotent = new RpcClient({ url: broker.url, resendAfterMs: 1_000 });
    assertEquals(await idempotent.call({ ...service, idempotent: true }, "c"), "c");
    assertEquals([client.stats.resubmissions, idempotent.stats.resubmissions], [0, 0]);
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
  assertEquals(ran.sort(), ["a", "b", "c"]);
});

Deno.test("resend: a request that vanished from a queue with a consumer goes out again in the end", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("resend");
  let count = 0;
  await peer.declare(queue);
  await peer.channel.basicConsume(queue, { noAck: true }, (request) => {
    count += 1;
    if (count > 1) answer(peer, request, "5");
  });
  await using client = new EchoClient({ url: broker.url, queue, resendAfterMs: 50 });
  assertEquals(await client.echo("5"), "5");
  assert(client.stats.resubmissions >= 1);
});

Deno.test("resend: requests that a full queue refused go out again, one after the other", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("full");
  await peer.channel.queueDeclare(queue, { durable: true }, {
    "x-max-length": 10,
    "x-overflow": "reject-publish",
  });
  const service = texts(queue, { idempotent: true });
  await using server = new RpcServer({ url: broker.url });
  server.serve(service, (text) => text);
  await server.start();
  const options = { url: broker.url, resendAfterMs: 2_000, timeoutMs: 60_000 };
  await using client = new RpcClient(options);
  const numbers = Array.from({ length: 150 }, (_, i) => String(i));
  assertEquals(await Promise.all(numbers.map((text) => client.call(service, text))), numbers);
  await peer.channel.queueDelete(queue);
});

Deno.test("resend: a request whose queue is seen to be missing goes out again, as often as it takes", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("missing");
  await peer.declare(queue);
  await using client = new EchoClient({ url: broker.url, queue, resendAfterMs: 200 });
  const result = client.echo("5", { timeoutMs: 60_000 });
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  await peer.channel.queueDelete(queue);
  await waitFor(() => client.stats.resubmissions > 0, { what: "it to be sent again" });
  await peer.declare(queue);
  await answer(peer, await next(peer, queue), "5");
  assertEquals(await result, "5");
});

Deno.test("resend: another's that comes back shows that the queue was missing", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("missing");
  await peer.declare(queue);
  await using client = new EchoClient({ url: broker.url, queue, resendAfterMs: 1_000 });
  const result = client.echo("5", { timeoutMs: 60_000 });
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  await peer.channel.queueDelete(queue);
  const { code } = await assertRejects(() => client.echo("6"), RpcError);
  assertEquals(code, "no_server");
  // By the number of its messages it could still be in its queue.
  await peer.declare(queue);
  await peer.send(queue, "another's");
  await waitFor(() => client.stats.resubmissions > 0, { what: "it to be sent again" });
  assertEquals((await next(peer, queue)).bodyToString(), "another's");
  await answer(peer, await next(peer, queue), "5");
  assertEquals(await result, "5");
});

Deno.test("resend: a request that comes back is tried until its queue is there again", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("back");
  await peer.declare(queue);
  await using proxy = await startProxy(port);
  await using client = new EchoClient({ url: proxy.url(broker.url), queue });
  const result = client.echo("5", { timeoutMs: 60_000 });
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  await peer.channel.queueDelete(queue);
  proxy.reset();
  // Once by the next connection, and then because it came back.
  await waitFor(() => client.stats.resubmissions >= 3, { what: "it to be tried again" });
  await peer.declare(queue);
  await answer(peer, await next(peer, queue), "5");
  assertEquals(await result, "5");
});

Deno.test("resend: unless a service says that it may, a call fails with its connection", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("once");
  await peer.declare(queue);
  await using proxy = await startProxy(port);
  const service = texts(queue);
  await using client = new RpcClient({ url: proxy.url(broker.url), timeoutMs: 60_000 });
  const once = assertRejects(() => client.call(service, "once"), RpcError);
  const again = client.call(service, "again", { idempotent: true });
  again.catch(() => {});
  await waitFor(async () => (await peer.look(queue)).messages === 2, { what: "both requests" });
  proxy.reset();
  const { code, message } = await once;
  assertEquals(code, "unavailable");
  assertStringIncludes(message, "outcome unknown");
  const requests = [await next(peer, queue), await next(peer, queue), await next(peer, queue)];
  const bodies = requests.map((request) => request.bodyToString());
  assertEquals(bodies.sort(), ["again", "again", "once"]);
  for (const request of requests) await answer(peer, request, "done");
  assertEquals(await again, "done");
});

Deno.test("resend: a call that was never sent is not lost with a connection", async () => {
  await using scripted = startScriptedBroker({
    answers: {
      // The first connection takes no messages.
      "basic.consume": ({ channel, args, connection }) => {
        const confirmed = send("basic.consume-ok", channel, shortString(consumerTag(args)));
        if (connection > 0) return confirmed;
        return concat(confirmed, send("connection.blocked", 0, shortString("an alarm")));
      },
    },
  });
  await using client = new RpcClient({ url: scripted.url });
  await client.connect();
  await waitFor(() => client.state === "blocked", { what: "the alarm" });
  const call = assertRejects(
    () => client.call(texts("queue"), "x", { timeoutMs: 60_000 }),
    RpcError,
  );
  scripted.connections[0]!.close();
  await waitFor(() => scripted.count("basic.publish") === 1 || client.pending === 0, {
    what: "the request on the next connection",
  });
  await client.close();
  assertEquals((await call).code, "cancelled");
});

Deno.test("resend: what is called while an alarm lasts waits for its end, also before the first connection", async () => {
  await using scripted = startScriptedBroker({
    answers: {
      "connection.open": () =>
        concat(
          send("connection.open-ok", 0, shortString("")),
          send("connection.blocked", 0, shortString("an alarm")),
        ),
    },
  });
  await using client = new RpcClient({ url: scripted.url, timeoutMs: 60_000 });
  const service = texts("queue", { idempotent: true });
  const call = assertRejects(() => client.call(service, "x"), RpcError);
  await waitFor(() => client.state === "blocked", { what: "the alarm" });
  assertEquals([client.pending, scripted.count("basic.publish")], [1, 0]);
  scripted.connections[0]!.send(send("connection.unblocked", 0));
  await waitFor(() => scripted.count("basic.publish") === 1, { what: "the request" });
  await client.close();
  assertEquals((await call).code, "cancelled");
});

Deno.test("resend: where a server is required but can't be seen, a call goes out once", async () => {
  // Each look fails, and costs its channel only.
  await using scripted = startScriptedBroker({
    answers: {
      "queue.declare": ({ channel }) => closeChannel(channel, 504, "CHANNEL_ERROR"),
    },
  });
  const options = { url: scripted.url, requireServer: true, timeoutMs: 2_000 };
  await using client = new RpcClient(options);
  const { code } = await assertRejects(() => client.call(texts("queue"), "x"), RpcError);
  assertEquals([code, scripted.count("basic.publish")], ["deadline_exceeded", 1]);
});

Deno.test("resend: what waits for a look and for the end of an alarm goes out once", async () => {
  await using scripted = startScriptedBroker({
    answers: {
      // The alarm begins and ends before the look is answered.
      "queue.declare": ({ channel }) =>
        concat(
          send("connection.blocked", 0, new Uint8Array([1, 0x78])),
          send("connection.unblocked", 0),
          closeChannel(channel, 504, "CHANNEL_ERROR"),
        ),
    },
  });
  const options = { url: scripted.url, requireServer: true, timeoutMs: 2_000 };
  await using client = new RpcClient(options);
  await client.connect();
  const { code } = await assertRejects(() => client.call(texts("queue"), "x"), RpcError);
  assertEquals([code, scripted.count("basic.publish")], ["deadline_exceeded", 1]);
  assertEquals(client.stats.resubmissions, 0);
});
