/** Several services over one connection, on a real broker. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { RpcClient } from "../../src/rpc/client/client.ts";
import { bytes, json } from "../../src/rpc/codec.ts";
import { createHandlerContext, type HandlerContext } from "../../src/rpc/server/handler.ts";
import { RpcServer } from "../../src/rpc/server/server.ts";
import { checkQueueName, type Service } from "../../src/rpc/service.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { closeChannel, shortStringAt, startScriptedBroker } from "../support/scripted_broker.ts";
import { numbers, texts } from "../support/services.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();
const options = { url: broker.url };

Deno.test("services: several on one server and one client, over one connection each", async () => {
  const upper = texts(uniqueQueue("upper"));
  const sum: Service<number[], { sum: number }> = {
    queue: uniqueQueue("sum"),
    input: json(),
    output: json(),
  };
  const reverse: Service<Uint8Array, Uint8Array> = {
    queue: uniqueQueue("reverse"),
    input: bytes,
    output: bytes,
  };
  await using server = new RpcServer(options);
  server.serve(upper, (text) => text.toUpperCase());
  server.serve(sum, async (all) => {
    await Promise.resolve();
    return { sum: all.reduce((a, b) => a + b, 0) };
  });
  server.serve(reverse, (all) => all.toReversed());
  await server.start();
  await using client = new RpcClient(options);
  const results = await Promise.all([
    client.call(upper, "hello"),
    client.call(sum, [1, 2, 39]),
    client.call(reverse, new Uint8Array([1, 2, 255])),
  ]);
  assertEquals(results, ["HELLO", { sum: 42 }, new Uint8Array([255, 2, 1])]);
  assertEquals([server.stats.responses, client.stats.responses], [3, 3]);
});

Deno.test("services: all are consumed again when the queue of one is deleted, on the same connection", async () => {
  await using peer = await RawChannel.open(broker.url);
  const [one, other] = [texts(uniqueQueue("one")), texts(uniqueQueue("other"))];
  const states: string[] = [];
  await using server = new RpcServer({
    ...options,
    onStateChange: ({ state }) => states.push(state),
  });
  for (const service of [one, other]) server.serve(service, (text) => text);
  await server.start();
  await peer.channel.queueDelete(one.queue);
  const consumers = async ({ queue }: { queue: string }) =>
    await peer.look(queue).then(({ consumers }) => consumers, () => 0);
  await waitFor(async () => await consumers(one) === 1, { what: "the queue to be back" });
  assertEquals([await consumers(other), states], [1, ["connected"]]);
  await using client = new RpcClient(options);
  assertEquals(await client.call(one, "1"), "1");
  assertEquals(await client.call(other, "2"), "2");
});

Deno.test("services: a queue that vanishes before it is consumed costs its channel, not the connection", async () => {
  let refusals = 0;
  await using scripted = startScriptedBroker({
    answers: {
      "basic.consume": ({ channel, args }) => {
        if (shortStringAt(args, 2) !== "vanishing" || refusals === 2) return undefined;
        refusals += 1;
        return closeChannel(channel, 404, "NOT_FOUND - no queue 'vanishing' in vhost '/'");
      },
    },
  });
  await using server = new RpcServer({ url: scripted.url });
  server.serve(texts("vanishing"), (text) => text, { quarantine: false });
  await server.start();
  // One connection to look whether replies are permitted, one to serve.
  assertEquals([refusals, scripted.count("connection.start-ok")], [2, 2]);
  assertEquals(server.state, "connected");
});

Deno.test("services: requests and replies carry content types and headers", async () => {
  await using peer = await RawChannel.open(broker.url);
  const service: Service<{ n: number }, Uint8Array> = {
    queue: uniqueQueue("headers"),
    input: json(),
    output: bytes,
  };
  await peer.declare(service.queue);
  await using client = new RpcClient(options);
  const headers = { "x-tenant": "a", "x-count": 7, "x-flag": true };
  const call = client.call(service, { n: 1 }, { headers }).catch(() => {});
  const request = await waitFor(() => peer.channel.basicGet(service.queue, { noAck: true }), {
    what: "the request",
  });
  assertEquals(request.properties.contentType, "application/json");
  assertEquals(request.properties.headers, headers);
  await client.close();
  await call;

  const contexts: HandlerContext[] = [];
  await using server = new RpcServer(options);
  server.serve(service, ({ n }, context) => {
    contexts.push(context);
    return new Uint8Array([n]);
  });
  await server.start();
  await peer.send(service.queue, '{"n":7}', { correlationId: "id", headers, expiration: "60000" });
  await peer.send(service.queue, '{"n":8}');
  const replies = await peer.waitForReplies(2);
  assertEquals(replies[0]!.properties.contentType, "application/octet-stream");
  assertEquals(contexts.map(({ correlationId, headers }) => [correlationId, headers]), [
    ["id", headers],
    [undefined, {}],
  ]);
  const leftMs = contexts[0]!.timeLeftMs()!;
  assert(leftMs > 0 && leftMs <= 60_000);
  assertEquals(contexts[1]!.timeLeftMs(), undefined);
});

Deno.test("services: an error reaches the caller with its code, details and remote", async () => {
  const service = texts(uniqueQueue("errors"));
  await using server = new RpcServer(options);
  server.serve(service, (text) => {
    throw new RpcError("not_found", `no ${text}`, { details: { text }, cause: "secret" });
  });
  await server.start();
  await using client = new RpcClient(options);
  const error = await assertRejects(() => client.call(service, "x"), RpcError);
  assertEquals([error.code, error.message, error.details, error.remote, error.cause], [
    "not_found",
    "work(x) failed: no x",
    { text: "x" },
    true,
    undefined,
  ]);
  const missing = texts(uniqueQueue("missing"));
  const local = await assertRejects(() => client.call(missing, "x"), RpcError);
  assertEquals([local.code, local.remote], ["no_server", false]);
});

Deno.test("services: without describe, errors name the queue", async () => {
  const { describe: _, ...service } = texts(uniqueQueue("nameless"));
  await using client = new RpcClient(options);
  const error = await assertRejects(() => client.call(service, "x"), RpcError);
  assertMatch(
    error.message,
    /^nobody serves a call of nameless-[^ ]* on [^ ]*: the queue does not/,
  );
});

Deno.test("onStateChange: several listeners of both ends, each until it is taken away", async () => {
  const seen: string[] = [];
  const note = (who: string) => ({ state }: { state: string }) => void seen.push(`${who} ${state}`);
  const service = texts(uniqueQueue("states"));
  const server = new RpcServer({ ...options, onStateChange: note("option") });
  server.onStateChange(note("first"));
  const forget = server.onStateChange(note("second"));
  server.serve(service, (text) => text);
  await server.start();
  forget();
  await server.close();
  assertEquals(seen.filter((line) => /^option/.test(line)), [
    "option connected",
    "option draining",
    "option closed",
  ]);
  assertEquals(seen.filter((line) => /^first/.test(line)).length, 3);
  assertEquals(seen.filter((line) => /^second/.test(line)), ["second connected"]);
  seen.splice(0);
  const client = new RpcClient(options);
  client.onStateChange(note("client"));
  await client.connect();
  await client.close();
  assertEquals(seen, ["client connected", "client closed"]);
});

Deno.test("RpcServer.serve: concurrency bounds the handlers, not what is handed out", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("concurrency");
  const release: (() => void)[] = [];
  await using server = new RpcServer(options);
  server.serve(
    numbers(queue),
    (n) => new Promise<string>((resolve) => release.push(() => resolve(String(n)))),
    { concurrency: 2, prefetch: 5 },
  );
  await server.start();
  for (let n = 0; n < 6; n++) await peer.send(queue, String(n));
  await waitFor(() => server.pending === 5, { what: "as many as the prefetch allows" });
  assertEquals(release.length, 2);
  release[1]!();
  await peer.waitForReplies(1);
  await waitFor(() => release.length === 3 && server.pending === 5, { what: "the next one" });
  for (let n = 0; n < 6; n++) {
    await waitFor(() => release[n], { what: "another start" });
    release[n]!();
  }
  const replies = await peer.waitForReplies(6);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["1", "0", "2", "3", "4", "5"]);
});

Deno.test("RpcServer.serve: maxTimeMs ends a handler's time, and its caller is answered", async () => {
  const service = texts(uniqueQueue("slow"));
  const reasons: unknown[] = [];
  await using server = new RpcServer(options);
  server.serve(service, (_, { signal }) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    signal.addEventListener("abort", () => {
      reasons.push(signal.reason);
      resolve("too late");
    });
    return promise;
  }, { maxTimeMs: 50 });
  await server.start();
  await using client = new RpcClient(options);
  const error = await assertRejects(() => client.call(service, "x"), RpcError);
  assertEquals([error.code, error.remote], ["resource_exhausted", true]);
  assertMatch(error.message, /took longer than this server allows \(50 ms\)/);
  assertEquals((reasons[0] as RpcError).code, "resource_exhausted");
  assertEquals([server.stats.errors, server.stats.responses, server.pending], [1, 0, 0]);
});

Deno.test("RpcServer.serve, start: what makes no sense is refused at once", async () => {
  const server = new RpcServer(options);
  assertEquals((await assertRejects(() => server.start(), RpcError)).code, "failed_precondition");
  const service = texts(uniqueQueue("refused"));
  const refused: [Parameters<RpcServer["serve"]>[2], RegExp][] = [
    [{ concurrency: 0 }, /concurrency 0 is not a whole number from 1/],
    [{ concurrency: 1.5 }, /concurrency/],
    [{ prefetch: 65_536 }, /prefetch/],
    [{ maxTimeMs: 0 }, /maxTimeMs/],
    [{ maxAttempts: 1 }, /maxAttempts/],
    [{ queueType: "durable" as "quorum" }, /queueType "durable" is not one of/],
  ];
  for (const [bad, expected] of refused) {
    const make = () => server.serve(texts(uniqueQueue("refused")), (text) => text, bad);
    const error = assertThrows(make, RpcError);
    assertEquals(error.code, "invalid_argument");
    assertMatch(error.message, expected);
  }
  server.serve(service, (text) => text);
  assertThrows(() => server.serve(service, (text) => text), RpcError, "is served already");
  await server.start();
  const late = () => server.serve(texts(uniqueQueue("late")), (text) => text);
  assertEquals(assertThrows(late, RpcError).code, "failed_precondition");
  await server.close();
});

Deno.test("checkQueueName: names that no queue can have", () => {
  const bad = ["", "x".repeat(256), "ü".repeat(128), "a\nb", "\u0000", "\ud800"];
  for (const name of [...bad, "amq.rabbitmq.reply-to"]) {
    assertEquals(assertThrows(() => checkQueueName(name), RpcError).code, "invalid_argument", name);
  }
  for (const name of ["a", "x".repeat(255), "ü", "a b", "😀"]) checkQueueName(name);
  assertThrows(() => checkQueueName("x".repeat(247), 9), RpcError, "between 1 and 246 bytes");
});

Deno.test("RpcClient.call: a bad name, or a bad header, fails that call only", async () => {
  await using scripted = startScriptedBroker();
  await using client = new RpcClient({ url: scripted.url });
  const bad = await assertRejects(() => client.call(texts(""), "x"), RpcError);
  assertEquals(bad.code, "invalid_argument");
  await client.connect();
  const headers = { deep: { of: "a".repeat(200_000) } };
  const call = () => client.call(texts("queue"), "x", { headers, timeoutMs: 60_000 });
  assertMatch((await assertRejects(call, RpcError)).message, /fit into a frame/);
  assertEquals([client.state, client.pending], ["connected", 0]);
});

Deno.test("createHandlerContext: a request that asks nothing, or what a test wants", async () => {
  const context = createHandlerContext();
  assertEquals([context.signal.aborted, context.headers, context.redelivered], [false, {}, false]);
  assertEquals([context.timeLeftMs(), await context.isCallerGone()], [undefined, false]);
  const signal = AbortSignal.abort();
  assertEquals(createHandlerContext({ signal, correlationId: "a" }).signal, signal);
});
