/** What both ends do when the broker refuses them, or ends what they have set up. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { EchoClient, echoServer } from "../support/services.ts";
import { CollectedLog } from "../support/log.ts";
import { RawChannel } from "../support/raw_channel.ts";
import {
  type Answer,
  closeChannel,
  closeConnection,
  consumerTag,
  type Received,
  send,
  startScriptedBroker,
} from "../support/scripted_broker.ts";
import { type Bytes, shortString, u8 } from "../support/raw_socket.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

/** Flags of `queue.declare`: AMQP 0-9-1, section 1.7.2.1. */
const PASSIVE = 1;
const DURABLE = 2;

Deno.test("a queue that is deleted is no lost broker: both ends go on as they were", async () => {
  const queue = uniqueQueue("deleted");
  await using log = await CollectedLog.start();
  await using peer = await RawChannel.open(broker.url);
  const states: string[] = [];
  const onStateChange = ({ state }: { state: string }) => states.push(state);
  await using server = echoServer({ url: broker.url, queue, onStateChange });
  await server.start();
  await using client = new EchoClient({ url: broker.url, queue, onStateChange });
  assertEquals(await client.echo("30"), "30");
  for (let i = 0; i < 3; i++) {
    await peer.channel.queueDelete(queue);
    await waitFor(() => log.messages(/setting up again/).length === i + 1, { what: "the warning" });
    await waitFor(() => isThere(peer, queue), { what: "the queue" });
    assertEquals(await client.echo("30"), "30");
  }
  assertEquals(states, ["connected", "connected"]);
  assertEquals(log.messages(/lost/), []);
});

async function isThere(peer: RawChannel, queue: string): Promise<boolean> {
  return await peer.look(queue).then(({ consumers }) => consumers > 0, () => false);
}

const lostSessions: Record<string, (channel: number, tag: string) => Bytes> = {
  "a reply consumer that is cancelled": (channel, tag) =>
    send("basic.cancel", channel, shortString(tag), u8(0)),
  "a channel that is closed": (channel) => closeChannel(channel, 406, "PRECONDITION_FAILED"),
};

for (const [what, end] of Object.entries(lostSessions)) {
  Deno.test(`RpcClient: ${what} is no lost broker: its calls are sent again`, async () => {
    const states: string[] = [];
    await using scripted = startScriptedBroker({
      answers: {
        "basic.publish": ({ channel }) => {
          if (scripted.count("basic.publish") > 1) return undefined;
          const consume = scripted.received.findLast(({ name }) => name === "basic.consume")!;
          return end(channel, consumerTag(consume.args));
        },
      },
    });
    await using client = new EchoClient({
      url: scripted.url,
      onStateChange: ({ state }) => states.push(state),
    });
    await client.connect();
    const call = client.echo("30");
    call.catch(() => {}); // Nobody answers it; the client is closed.
    await waitFor(() => scripted.count("basic.publish") === 2, { what: "the request again" });
    assertEquals(scripted.count("basic.consume"), 2);
    assertEquals(scripted.connections.length, 1);
    assertEquals(states, ["connected"]);
  });
}

Deno.test("RpcServer.start: after a refusal it can be tried again", async () => {
  const queue = uniqueQueue("again");
  let password = "wrong";
  await using server = echoServer({
    url: broker.url.replace(/\/\/.*@/, "//"),
    queue,
    credentials: () => ({ password }),
  });
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => server.start(), RpcError);
    assertEquals(error.code, "unauthenticated");
  }
  password = "guest";
  await server.start();
  assertEquals(server.state, "connected");
});

Deno.test("RpcClient: a loop of calls is no loop of logins, and each call gets the refusal", async () => {
  const { random } = Math;
  Math.random = () => 0.999;
  await using scripted = startScriptedBroker({
    answers: { "connection.start-ok": () => closeConnection(403, "ACCESS_REFUSED - no") },
  });
  try {
    await using client = new EchoClient({ url: scripted.url });
    const start = performance.now();
    let calls = 0;
    while (performance.now() - start < 1_000) {
      const error = await assertRejects(() => client.echo("30"), RpcError);
      assertEquals(error.code, "unauthenticated");
      calls += 1;
      if (calls % 100 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    assert(calls > 100, `${calls} calls`);
    // At 0, 100, 300 and 700 ms.
    assert(scripted.connections.length <= 4, `${scripted.connections.length} connections`);
  } finally {
    Math.random = random;
  }
});

Deno.test("RpcClient: a refusal after a success ends what waits, and what comes meanwhile, at once", async () => {
  let isRefusing = false;
  await using scripted = startScriptedBroker({
    answers: {
      "connection.start-ok": () => isRefusing ? closeConnection(403, "NO") : undefined,
    },
  });
  await using client = new EchoClient({ url: scripted.url, timeoutMs: 30_000 });
  const waiting = client.echo("30");
  await waitFor(() => scripted.count("basic.publish") === 1, { what: "the request" });
  isRefusing = true;
  scripted.connections[0]!.close();
  assertEquals((await assertRejects(() => waiting, RpcError)).code, "unauthenticated");
  const next = await assertRejects(() => client.echo("30"), RpcError);
  assertEquals(next.code, "unauthenticated");
  isRefusing = false;
  await waitFor(() => client.state === "connected", { what: "the connection" });
});

for (
  const [code, text, expected] of [
    [403, "ACCESS_REFUSED - not any more", "permission_denied"],
    [320, "CONNECTION_FORCED - bye", "unavailable"],
    [530, "NOT_ALLOWED - no", "unavailable"],
  ] as const
) {
  Deno.test(`RpcClient: a connection closed with ${code} in the middle of a call is ${expected}`, async () => {
    await using scripted = startScriptedBroker({
      answers: { "basic.publish": () => closeConnection(code, text) },
    });
    await using client = new EchoClient({ url: scripted.url });
    await client.connect();
    const error = await assertRejects(
      () => client.echo("30", { idempotent: false, timeoutMs: 20_000 }),
      RpcError,
    );
    assertEquals(error.code, expected);
    if (code === 403) assertMatch(error.message, /can't send work\(30\).*: ACCESS_REFUSED/);
  });
}

Deno.test("RpcServer: who may neither look at its queue nor declare it may still consume it", async () => {
  const queue = uniqueQueue("operator");
  await using scripted = startScriptedBroker({
    answers: {
      "queue.declare": ({ channel }) => closeChannel(channel, 403, "ACCESS_REFUSED - no"),
    },
  });
  await using server = echoServer({ url: scripted.url, queue });
  server.start().catch(() => {});
  await waitFor(() => server.state === "connected", { what: "the server", timeoutMs: 10_000 });
  const consumes = scripted.received.filter(({ name }) => name === "basic.consume")
    .map(({ args }) => new TextDecoder().decode(args));
  assertEquals(consumes.some((text) => text.includes(queue)), true);
});

Deno.test("RpcServer: where the broker refuses transient queues, it declares a quorum queue", async () => {
  await using log = await CollectedLog.start();
  const queue = uniqueQueue("quorum");
  const isDeclaring = ({ args }: Received) => {
    const flags = args[3 + args[2]!]!;
    return (flags & PASSIVE) === 0 && new TextDecoder().decode(args).includes(queue);
  };
  const notFound: Answer = (received) => {
    if (!isDeclaring(received)) {
      return closeChannel(received.channel, 404, `NOT_FOUND - no queue '${queue}'`);
    }
    const isTransient = (received.args[3 + received.args[2]!]! & DURABLE) === 0;
    return isTransient
      ? closeConnection(541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated")
      : undefined;
  };
  await using scripted = startScriptedBroker({ answers: { "queue.declare": notFound } });
  await using server = echoServer({ url: scripted.url, queue });
  server.start().catch(() => {}); // It would try for ever.
  await waitFor(() => server.state === "connected", { what: "the server", timeoutMs: 10_000 });
  const declared = scripted.received.filter((received) =>
    received.name === "queue.declare" && isDeclaring(received)
  ).map(({ args }) => new TextDecoder().decode(args).includes("x-queue-type") ? "quorum" : "none");
  assertEquals(declared.slice(0, 2), ["none", "quorum"]);
  assertEquals(log.messages(/refuses transient queues.*quorum/, "warning").length, 1);
});
