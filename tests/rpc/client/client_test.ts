import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { once } from "node:events";
import net from "node:net";
import { RpcError } from "../../../src/errors.ts";
import { RpcClient } from "../../../src/rpc/client/client.ts";
import type { RpcClientOptions } from "../../../src/rpc/client/options.ts";
import { text } from "../../../src/rpc/codec.ts";
import type { RpcServer } from "../../../src/rpc/server/server.ts";
import type { CalledService } from "../../../src/rpc/service.ts";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { EchoClient, echoServer } from "../../support/services.ts";
import { concat, shortString, u16 } from "../../support/raw_socket.ts";
import { deliver, startScriptedBroker } from "../../support/scripted_broker.ts";
import { waitFor } from "../../support/wait.ts";

const broker = await sharedBroker();

function newClient(options: ConstructorParameters<typeof EchoClient>[0] = {}): EchoClient {
  return new EchoClient({ url: broker.url, ...options });
}

async function startServer(queue: string): Promise<RpcServer> {
  const server = echoServer({ url: broker.url, queue });
  await server.start();
  return server;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, RpcError)).code;
}

for (const reply of ["direct", "queue"] as const) {
  Deno.test(`RpcClient: many calls at once, each with its own answer (${reply})`, async () => {
    const queue = uniqueQueue("client");
    await using _server = await startServer(queue);
    await using client = newClient({ queue, reply });
    const inputs = Array.from({ length: 1000 }, (_, i) => `text ${i}`);
    assertEquals(await Promise.all(inputs.map((input) => client.echo(input))), inputs);
    assertEquals(client.pending, 0);
    assertEquals(client.stats.responses, 1000);
  });
}

/**
 * A way to the broker whose first connection goes wrong when it is open
 * (connection.open-ok, class 10, method 41): the broker isn't heard any more,
 * or it ends with the next thing that is said to the broker.
 */
async function brokenWay(how: "deaf" | "cut"): Promise<{ url: string } & AsyncDisposable> {
  const { hostname, port } = new URL(broker.url);
  const sockets: net.Socket[] = [];
  const listener = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    sockets.push(near.on("error", () => {}), far.on("error", () => {}));
    if (sockets.length > 2) {
      near.pipe(far).pipe(near);
      return;
    }
    let open = false;
    near.on("data", (bytes: Uint8Array) => {
      if (open && how === "cut") near.destroy();
      else far.write(bytes);
    });
    far.on("data", (bytes: Uint8Array) => {
      if (!open) near.write(bytes);
      open ||= bytes[8] === 10 && bytes[10] === 41;
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url: `amqp://127.0.0.1:${(listener.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

Deno.test("RpcClient: the first request doesn't wait for the broker's word on its channel", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  await peer.declare(queue);
  await using way = await brokenWay("deaf");
  await using client = newClient({ url: way.url, queue });
  const result = assertRejects(() => client.echo("30", { timeoutMs: 60_000 }), RpcError);
  await waitFor(() => peer.channel.basicGet(queue), { what: "the request" });
  assertEquals(client.state, "connecting");
  await client.close();
  assertEquals((await result).code, "cancelled");
});

Deno.test("RpcClient: what must not run twice waits for the broker's word on its channel", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  await peer.declare(queue);
  await using way = await brokenWay("deaf");
  await using client = newClient({ url: way.url, queue });
  const codes = [false, true].map((idempotent, i) =>
    codeOf(client.echo(String(i), { timeoutMs: 60_000, idempotent }))
  );
  const request = await waitFor(() => peer.channel.basicGet(queue), { what: "the other request" });
  assertEquals(request.bodyToString(), "1");
  await client.close();
  assertEquals(await Promise.all(codes), ["cancelled", "cancelled"]);
});

Deno.test("RpcClient: a request that left with a connection that failed is still the first", async () => {
  await using way = await brokenWay("cut");
  await using client = newClient({ url: way.url, queue: uniqueQueue("missing") });
  assertEquals(await codeOf(client.echo("30", { timeoutMs: 60_000 })), "no_server");
  assertEquals(client.stats.resubmissions, 0);
});

Deno.test("RpcClient: the request is the one that the contract fixes", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  await peer.declare(queue);
  await using client = newClient({ queue });
  const result = client.echo("30", { timeoutMs: 60_000 });
  const request = await waitFor(() => peer.channel.basicGet(queue), { what: "the request" });
  const { contentType, replyTo, correlationId, expiration, deliveryMode } = request.properties;
  assertEquals([request.bodyToString(), contentType, deliveryMode], ["30", "text/plain", 1]);
  assert(replyTo!.startsWith("amq.rabbitmq.reply-to."));
  assertMatch(correlationId!, /^[\w-]{22}\.0$/);
  assert(Number(expiration) > 50_000 && Number(expiration) <= 60_000, expiration);
  await peer.channel.basicPublish("", replyTo!, "832040", { correlationId: correlationId! });
  assertEquals(await result, "832040");
});

Deno.test("RpcClient: drops late and duplicate replies, and counts them", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  await peer.declare(queue);
  await using client = newClient({ queue });
  const result = client.echo("1");
  const request = await waitFor(() => peer.channel.basicGet(queue), { what: "the request" });
  const { replyTo, correlationId } = request.properties;
  for (const body of ["1", "2"]) {
    await peer.channel.basicPublish("", replyTo!, body, { correlationId: correlationId! });
  }
  await peer.channel.basicPublish("", replyTo!, "3", { correlationId: "unknown" });
  await peer.channel.basicPublish("", replyTo!, "4");
  assertEquals(await result, "1");
  await waitFor(() => client.stats.repliesDropped === 3, { what: "3 dropped replies" });
  assertEquals(client.stats.repliesUnknown, 2);
});

Deno.test("RpcClient: a deadline names replies that no call had", async () => {
  const unknown = (channel: number) =>
    deliver(channel, "tag", 1n, "1", concat(u16(1 << 10), shortString("another's")));
  const none = (channel: number) => deliver(channel, "tag", 1n, "1");
  const answers = [
    (channel: number) => unknown(channel),
    (channel: number) => concat(unknown(channel), none(channel)),
  ];
  await using scripted = startScriptedBroker({
    answers: { "basic.publish": ({ channel }) => answers.shift()!(channel) },
  });
  await using client = newClient({ url: scripted.url });
  const before = codeOf(client.echo("1"));
  await waitFor(() => client.stats.repliesUnknown === 1, { what: "the reply" });
  const error = await assertRejects(() => client.echo("2", { timeoutMs: 2_000 }), RpcError);
  assertMatch(error.message, /; 2 replies came with an unknown correlation id$/);
  assertEquals([client.stats.repliesUnknown, client.stats.repliesDropped], [3, 3]);
  await client.close();
  assertEquals(await before, "cancelled");
});

Deno.test("RpcClient: one signal for many calls has one listener, and cancels them all", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("cancel");
  await peer.declare(queue);
  await using client = newClient({ queue });
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  const calls = Array.from({ length: 2_000 }, () => codeOf(client.echo("30", { signal })));
  controller.abort();
  assertEquals(new Set(await Promise.all(calls)), new Set(["cancelled"]));
  assertEquals([listeners, client.pending], [1, 0]);
});

Deno.test("RpcClient: a call that has ended leaves no listener on its signal", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("ended");
  await peer.serve(queue, (request) => ({
    body: request === "0" ? '{"code": "internal", "message": "failed"}' : request,
    properties: request === "0" ? { type: "error" } : {},
  }));
  await using client = newClient({ queue });
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (type: string, listener: EventListener) => {
    listeners.add(listener);
    add.call(signal, type, listener);
  };
  signal.removeEventListener = (type: string, listener: EventListener) => {
    listeners.delete(listener);
    remove.call(signal, type, listener);
  };
  const calls = ["0", "1"].map((n) => client.echo(n, { signal }));
  assertEquals(listeners.size, 1);
  const results = await Promise.allSettled(calls);
  assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled"]);
  assertEquals(listeners.size, 0);
});

Deno.test("RpcClient: an error of the library names no command", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("idle");
  await peer.declare(queue);
  const options = [{ queue: uniqueQueue("missing") }, { queue, requireServer: true }, { queue }];
  for (const option of options) {
    await using client = newClient({ ...option, timeoutMs: 500 });
    const { message } = await assertRejects(() => client.echo("30"), RpcError);
    assert(!message.includes("fibrpc"), message);
  }
});

Deno.test("RpcClient: a missing queue is no_server, in one round trip", async () => {
  const queue = uniqueQueue("missing");
  await using client = newClient({ queue });
  await client.connect();
  const start = performance.now();
  const error = await assertRejects(() => client.echo("30", { timeoutMs: 20_000 }), RpcError);
  assertEquals(error.code, "no_server");
  assertStringIncludes(error.message, `work(30) from ${queue}`);
  assert(performance.now() - start < 5_000, "it waited for something");
});

Deno.test("RpcClient: a queue without consumers is no_server where a server is required", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("idle");
  await peer.declare(queue);
  await using client = newClient({ queue, requireServer: true, timeoutMs: 20_000 });
  assertEquals(await codeOf(client.echo("30")), "no_server");
  assertEquals((await peer.look(queue)).messages, 0);
  await using _server = await startServer(queue);
  assertEquals(await client.echo("30"), "30");
});

Deno.test("RpcClient: a request that can't be described any more costs the words, not the process", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  await peer.declare(queue);
  let describable = true;
  const service: CalledService<string | string[], string> = {
    queue,
    input: { contentType: "text/plain", encode: (request) => String(request) },
    output: text,
    describe(request) {
      if (!describable) throw new Error("no words");
      return `request(${request})`;
    },
  };
  await using client = new RpcClient({ url: broker.url, timeoutMs: 200 });
  const changed = ["as it was"];
  const calls = ["text", changed].map((request) =>
    assertRejects(() => client.call(service, request), RpcError)
  );
  changed[0] = "changed later";
  describable = false;
  const [unknown, array] = await Promise.all(calls);
  assertEquals(unknown!.message.startsWith(`no reply to a call of ${queue} from `), true);
  assertMatch(array!.message, /^no reply to request\(as it was\) from /);
});

Deno.test("RpcClient: a deadline says what could be found out", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("slow");
  await peer.declare(queue);
  for (let i = 0; i < 3; i++) await peer.send(queue, "1");
  await using client = newClient({ queue });
  const start = performance.now();
  const error = await assertRejects(() => client.echo("30", { timeoutMs: 2_500 }), RpcError);
  const took = performance.now() - start;
  assertEquals(error.code, "deadline_exceeded");
  assertStringIncludes(error.message, "within 2.5s: 0 consumers, 4 waiting: no server is running");
  assert(took >= 2_499, `it ended after ${took} ms`);
});

Deno.test("RpcClient: the broker drops a request that nobody waits for any more", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("expire");
  await peer.declare(queue);
  await using client = newClient({ queue });
  const call = codeOf(client.echo("30", { timeoutMs: 300 }));
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  assertEquals(await call, "deadline_exceeded");
  await waitFor(async () => (await peer.look(queue)).messages === 0, { what: "it to be gone" });
});

Deno.test("RpcClient: the signal cancels a call", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("cancel");
  await peer.declare(queue);
  await using client = newClient({ queue });
  const controller = new AbortController();
  const call = client.echo("30", { signal: controller.signal });
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  controller.abort("changed my mind");
  const error = await assertRejects(() => call, RpcError);
  assertEquals([error.code, error.cause], ["cancelled", "changed my mind"]);
  assertEquals(await codeOf(client.echo("1", { signal: controller.signal })), "cancelled");
  assertEquals(client.pending, 0);
});

Deno.test("RpcClient.close: rejects what waits, and every later call", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("close");
  await peer.declare(queue);
  const client = newClient({ queue });
  const call = codeOf(client.echo("30"));
  await client.close();
  assertEquals(await call, "cancelled");
  assertEquals(await codeOf(client.echo("30")), "cancelled");
  assertEquals(await codeOf(client.connect()), "cancelled");
});

Deno.test("RpcClient: an error's stack names the functions that await the call", async (t) => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("stack");
  await peer.declare(queue);
  await using client = new RpcClient({ url: broker.url });
  await client.connect();
  const refused = new RpcClient({ url: broker.url.replace(/guest@/, "wrong@") });
  const server = echoServer({ url: broker.url.replace(/guest@/, "wrong@"), queue });
  const service: CalledService<string, string> = { queue, input: text, output: text };

  async function innermost(how: () => Promise<unknown>) {
    return await how();
  }
  async function outermost(how: () => Promise<unknown>): Promise<RpcError> {
    return await assertRejects(async () => await innermost(how), RpcError);
  }
  const WAYS: Record<string, () => Promise<unknown>> = {
    deadline_exceeded: () => client.call(service, "", { timeoutMs: 20 }),
    no_server: () => client.call({ ...service, queue: `${queue}-none` }, ""),
    cancelled: () => client.call(service, "", { signal: AbortSignal.timeout(20) }),
    invalid_argument: () => client.call(service, "", { timeoutMs: -1 }),
    unauthenticated: () => refused.call(service, ""),
    "unauthenticated, of connect()": () => refused.connect(),
    "unauthenticated, of start()": () => server.start(),
  };
  for (const [code, how] of Object.entries(WAYS)) {
    await t.step(code, async () => {
      const error = await outermost(how);
      assertEquals(error.code, code.split(",")[0]);
      assertStringIncludes(error.stack!, error.message);
      assertMatch(error.stack!, /at (async )?innermost [^]*at (async )?outermost /);
    });
  }
  await t.step("each of several calls that one thing ends", async () => {
    const calls = [innermost(WAYS.unauthenticated!), WAYS.unauthenticated!()];
    const [first, second] = await Promise.all(
      calls.map((call) => assertRejects(() => call, RpcError)),
    );
    assertEquals([first!.code, second!.code], ["unauthenticated", "unauthenticated"]);
    assertMatch(first!.stack!, /innermost/);
    assertEquals(second!.stack!.includes("innermost"), false);
  });
  await Promise.all([refused.close(), server.close()]);
});

Deno.test("RpcClient: too many pending calls are refused", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("full");
  await peer.declare(queue);
  await using client = newClient({ queue, maxPending: 2 });
  const waiting = [client.echo("1"), client.echo("2")].map(codeOf);
  assertEquals(await codeOf(client.echo("3")), "resource_exhausted");
  await client.close();
  assertEquals(await Promise.all(waiting), ["cancelled", "cancelled"]);
});

Deno.test("RpcClient: a broker that isn't there is unavailable, and the next call tries again", async () => {
  const queue = uniqueQueue("client");
  const states: string[] = [];
  await using client = newClient({
    url: "amqp://127.0.0.1:1",
    queue,
    connectTimeoutMs: 1_000,
    onStateChange: ({ state }) => states.push(state),
  });
  for (let i = 0; i < 2; i++) {
    const error = await client.echo("30").catch((error) => error);
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, "ECONNREFUSED"); // Not that time was short.
  }
  assertEquals(client.state, "idle");
  assertEquals(states.filter((state) => state === "closed").length, 2);
});

Deno.test("RpcClient: the next broker is tried when one fails", async () => {
  const queue = uniqueQueue("client");
  await using _server = await startServer(queue);
  await using client = newClient({ url: ["amqp://127.0.0.1:1", broker.url], queue });
  assertEquals(await client.echo("30"), "30");
});

Deno.test("RpcClient: refused credentials and vhosts fail at once, without the password", async () => {
  const url = new URL(broker.url);
  url.password = "swordfish";
  await using wrong = newClient({ url: url.href });
  const start = performance.now();
  const error = await assertRejects(() => wrong.echo("30"), RpcError);
  assertEquals(error.code, "unauthenticated");
  assert(!Deno.inspect(error, { depth: 10, showHidden: true }).includes("swordfish"));
  await using nowhere = newClient({ url: `${broker.url}/nowhere` });
  assertEquals(await codeOf(nowhere.echo("30")), "permission_denied");
  assert(performance.now() - start < 10_000, "it kept trying");
});

Deno.test("RpcClient: refuses bad settings", () => {
  const bad: RpcClientOptions[] = [
    { timeoutMs: 0 },
    { timeoutMs: NaN },
    { timeoutMs: 2 ** 31 },
    { connectTimeoutMs: -1 },
    { heartbeatSeconds: 1.5 },
    { maxPending: 0 },
    { maxMessageBytes: 0 },
    { maxMessageBytes: 2 ** 29 + 1 },
    { reply: "dirct" as "direct" },
    { tls: { ca: "nothing" } },
    { resendAfterMs: 0 },
    { url: "http://localhost" },
    { url: [] },
  ];
  for (const options of bad) {
    let code: string | undefined;
    try {
      newClient(options);
    } catch (error) {
      code = (error as RpcError).code;
    }
    assertEquals(code, "invalid_argument", JSON.stringify(options));
  }
});

Deno.test("RpcClient: refuses a queue that can't be", async () => {
  for (const queue of ["", "ü".repeat(128), "\ud800"]) {
    await using client = newClient({ queue });
    assertEquals(await codeOf(client.echo("30")), "invalid_argument");
    assertEquals(client.state, "idle");
  }
});
