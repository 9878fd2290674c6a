import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { QUEUE_TYPES } from "../../../src/amqp/queue.ts";
import { RpcError } from "../../../src/errors.ts";
import { json } from "../../../src/rpc/codec.ts";
import { RpcServer } from "../../../src/rpc/server/server.ts";
import type { HandlerContext, RpcHandler } from "../../../src/rpc/server/handler.ts";
import type { RpcServerOptions, ServeOptions } from "../../../src/rpc/server/options.ts";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { addressOf, goneAddress, partsOf } from "../../support/direct_address.ts";
import { CollectedLog } from "../../support/log.ts";
import { startProxy } from "../../support/proxy.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { permitsTransientQueues } from "../../support/transient_queues.ts";
import { EchoClient, numbers } from "../../support/services.ts";
import { waitFor } from "../../support/wait.ts";

const broker = await sharedBroker();

interface Running extends AsyncDisposable {
  readonly server: RpcServer;
  readonly queue: string;
}

type Options = RpcServerOptions & ServeOptions & { queue?: string };

function makeServer(
  queue: string,
  handler: RpcHandler<number, string | Uint8Array>,
  options: RpcServerOptions & ServeOptions = {},
): RpcServer {
  const server = new RpcServer({ url: broker.url, ...options });
  server.serve(numbers(queue), handler, options);
  return server;
}

async function startServer(
  handler: RpcHandler<number, string | Uint8Array>,
  { queue = uniqueQueue("server"), ...options }: Options = {},
): Promise<Running> {
  const server = makeServer(queue, handler, options);
  await server.start();
  return { server, queue, [Symbol.asyncDispose]: () => server.close().then(() => {}) };
}

const double: RpcHandler<number, string | Uint8Array> = (n) => String(2 * n);

Deno.test("RpcServer: replies with the request's correlation id, in decimal text, transient", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  await peer.send(running.queue, "21", { correlationId: "any id ü" });
  const [reply] = await peer.waitForReplies(1);
  assertEquals(reply!.bodyToString(), "42");
  const { correlationId, contentType, deliveryMode, type } = reply!.properties;
  assertEquals([correlationId, contentType, deliveryMode, type], [
    "any id ü",
    "text/plain",
    1,
    undefined,
  ]);
});

Deno.test("RpcServer: answers what has no correlation id, or an empty or a long one", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  await peer.send(running.queue, "1");
  await peer.send(running.queue, "2", { correlationId: "" });
  await peer.send(running.queue, "3", { correlationId: "x".repeat(255) });
  const replies = await peer.waitForReplies(3);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["2", "4", "6"]);
  assertEquals(replies[2]!.properties.correlationId, "x".repeat(255));
});

Deno.test("RpcServer: sends an error reply for a refused request, and goes on", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  await peer.send(running.queue, "1e3", { correlationId: "a" });
  await peer.send(running.queue, "1001", { correlationId: "b" });
  await peer.send(running.queue, "4", { correlationId: "c" });
  const replies = await peer.waitForReplies(3);
  const seen = replies.map(({ properties }) => [
    properties.correlationId,
    properties.type,
    properties.contentType,
    properties.headers?.["x-error-code"],
  ]);
  assertEquals(seen, [
    ["a", "error", "application/json", "invalid_argument"],
    ["b", "error", "application/json", "out_of_range"],
    ["c", undefined, "text/plain", undefined],
  ]);
  assertEquals(JSON.parse(replies[0]!.bodyToString()!).code, "invalid_argument");
  assertEquals(running.server.stats.errors, 2);
});

Deno.test("RpcServer: a handler chooses its code; what else it throws stays on the server", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer((n) => {
    if (n === 1) throw new RpcError("resource_exhausted", "too much");
    if (n === 2) throw new Error("the password is swordfish");
    return Promise.reject("rejected");
  });
  for (const n of [1, 2, 3]) await peer.send(running.queue, String(n));
  const texts = (await peer.waitForReplies(3)).map((reply) => reply.bodyToString()!);
  assertEquals(texts.map((text) => JSON.parse(text).code), [
    "resource_exhausted",
    "internal",
    "internal",
  ]);
  assertStringIncludes(texts[0]!, "too much");
  assert(!texts.join().includes("swordfish"));
});

Deno.test("RpcServer: replies in the order of completion and acknowledges each", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release = new Map<number, () => void>();
  await using running = await startServer((n) =>
    new Promise((resolve) => release.set(n, () => resolve(String(n))))
  );
  for (const n of [1, 2, 3, 4]) await peer.send(running.queue, String(n));
  await waitFor(() => release.size === 4, { what: "4 requests" });
  const order = [3, 1, 4, 2];
  for (const [index, n] of order.entries()) {
    release.get(n)!();
    await peer.waitForReplies(index + 1);
  }
  assertEquals(peer.replies.map((reply) => Number(reply.bodyToString())), order);
  assertEquals(await running.server.close(), 0);
  assertEquals((await peer.look(running.queue)).messages, 0);
});

Deno.test("RpcServer: a request that is under way already is not started again", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release: (() => void)[] = [];
  await using running = await startServer((n) =>
    new Promise((resolve) => release.push(() => resolve(String(n))))
  );
  const { queue, server } = running;
  await peer.send(queue, "1", { correlationId: "a" });
  await peer.send(queue, "1", { correlationId: "a" }); // Sent again by an impatient caller.
  await peer.send(queue, "2", { correlationId: "a" }); // Another call of a careless one.
  await peer.send(queue, "1"); // No correlation id: like no other.
  await peer.send(queue, "1");
  await waitFor(() => release.length === 4 && server.stats.requests === 5, {
    what: "four requests in flight, and a duplicate",
  });
  for (const answer of release) answer();
  const replies = await peer.waitForReplies(4);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["1", "2", "1", "1"]);
  await waitFor(() => server.pending === 0, { what: "the duplicate to be settled" });
  assertEquals([server.stats.responses, server.stats.duplicates], [4, 1]);
  await peer.send(queue, "1", { correlationId: "a" });
  await waitFor(() => release.length === 5, { what: "it to be started, for it is settled" });
  release[4]!();
  await peer.waitForReplies(5);
});

Deno.test("RpcServer: rejects what can't be answered, without requeue, and goes on", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  const { queue } = running;
  await peer.channel.basicPublish("", queue, "1", { correlationId: "no reply_to" });
  await peer.send(queue, "2", { replyTo: queue });
  await peer.send(queue, "2", { replyTo: `${queue}.suspects` });
  await peer.send(queue, "3", { replyTo: "amq.rabbitmq.trace" });
  await peer.send(queue, "4", { replyTo: "amq.fanout" });
  await peer.send(queue, "5", { replyTo: "a queue that does not exist" });
  await peer.send(queue, "6");
  assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "12");
  assertEquals(running.server.stats.rejected, 5);
  assertEquals(running.server.stats.responses, 2);
  await running.server.close();
  assertEquals(await peer.look(queue), { messages: 0, consumers: 0 });
});

Deno.test("RpcServer: does not start what has expired", async () => {
  const EXPIRATION_MS = 1_000; // Enough for the way to the server, however slow.
  await using peer = await RawChannel.open(broker.url);
  await using link = await startProxy(Number(new URL(broker.url).port));
  const started: number[] = [];
  const queue = uniqueQueue("server");
  await peer.declare(queue); // A quorum queue counts as empty before its messages have left.
  await using running = await startServer((n) => {
    started.push(n);
    const end = performance.now() + (n === 1 ? EXPIRATION_MS + 50 : 0);
    while (performance.now() < end) { /* Busy, so that another one's time passes here. */ }
    return String(n);
  }, { url: link.url(broker.url), queue });
  // While the first one runs, the others are there, and are then read together.
  const send = async (n: string, expiration?: string) => {
    await peer.send(running.queue, n, expiration === undefined ? {} : { expiration });
    await waitFor(async () => (await peer.look(running.queue)).messages === 0, {
      what: "the delivery",
    });
  };
  link.blackhole();
  await send("1");
  await send("2");
  await send("3", `${EXPIRATION_MS}`);
  await send("4", "60000");
  await link.restore();
  const replies = await peer.waitForReplies(3);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["1", "2", "4"]);
  assertEquals(started, [1, 2, 4]);
  assertEquals(running.server.stats.expired, 1);
});

Deno.test("RpcServer: the signal aborts when the request's time is up", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer((_n, { signal }) =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(new RpcError("cancelled", "stopped")))
    )
  );
  await peer.send(running.queue, "1", { expiration: "50" });
  await waitFor(() => running.server.stats.expired === 1, { what: "the request to expire" });
  assertEquals(await running.server.close(), 0);
  assertEquals(peer.replies.length, 0); // Nobody waits for one.
});

Deno.test("HandlerContext.isCallerGone: true for a queue that is gone, false for any other", async () => {
  await using peer = await RawChannel.open(broker.url);
  const gone: Record<number, boolean> = {};
  await using running = await startServer(async (n, context) => {
    gone[n] = await context.isCallerGone();
    return String(n);
  });
  const { queue, server } = running;
  await peer.send(queue, "1"); // The peer's own exclusive queue.
  await peer.send(queue, "2", { replyTo: uniqueQueue("gone") });
  await peer.send(queue, "3", { replyTo: await goneAddress(broker.url) });
  await using client = new EchoClient({ url: broker.url, queue });
  assertEquals(await client.echo("4"), "4"); // Direct reply-to.
  assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "1");
  await waitFor(() => server.stats.abandoned === 2, { what: "two abandoned requests" });
  assertEquals(gone, { 1: false, 2: true, 3: true, 4: false });
});

Deno.test("HandlerContext.isCallerGone: a look that is never answered keeps no other call waiting", async () => {
  await using running = await startServer(async (n, context) => {
    await context.isCallerGone();
    return String(n);
  });
  const { queue, server } = running;
  await using peer = await RawChannel.open(broker.url);
  // RabbitMQ 3.10 and 4.0 ask the process of the address: the node's first, which is no channel.
  const parts = partsOf(await goneAddress(broker.url));
  const replyTo = addressOf({ ...parts, id: 0, serial: 0 });
  for (let request = 0; request < 40; request++) await peer.send(queue, "1", { replyTo });
  await using client = new EchoClient({ url: broker.url, queue, timeoutMs: 10_000 });
  assertEquals(await client.echo("2"), "2");
  await waitFor(() => server.pending === 0, { what: "all to be answered", timeoutMs: 10_000 });
});

Deno.test("RpcServer: a reply whose queue does not exist is counted", async () => {
  await using running = await startServer((n) => String(n));
  const { queue, server } = running;
  await using peer = await RawChannel.open(broker.url);
  for (const n of [1, 2]) await peer.send(queue, `${n}`, { replyTo: uniqueQueue("missing") });
  await peer.send(queue, "3");
  await peer.send(queue, "4", { replyTo: await goneAddress(broker.url) }); // Brokers differ.
  await peer.waitForReplies(1);
  await waitFor(() => server.stats.responses === 4, { what: "all responses" });
  await waitFor(() => server.stats.unroutable === 2, { what: "two of them to come back" });
});

Deno.test("RpcServer.close: finishes and answers what it has, leaves the rest", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release: (() => void)[] = [];
  const queue = uniqueQueue("close");
  await peer.declare(queue); // A quorum queue still counts a consumer that has requests in hand.
  await using running = await startServer(
    (n) => new Promise((resolve) => release.push(() => resolve(String(n)))),
    { prefetch: 2, queue },
  );
  for (const n of [1, 2, 3]) await peer.send(running.queue, String(n));
  await waitFor(() => release.length === 2, { what: "2 requests under way" });
  const closed = running.server.close();
  await waitFor(async () => (await peer.look(running.queue)).consumers === 0, {
    what: "the consumer to be cancelled",
  });
  for (const answer of release) answer();
  assertEquals(await closed, 0);
  assertEquals((await peer.waitForReplies(2)).map((r) => r.bodyToString()), ["1", "2"]);
  assertEquals((await peer.look(running.queue)).messages, 1);
});

Deno.test("RpcServer.close: gives back what is not done within drainTimeoutMs", async () => {
  await using peer = await RawChannel.open(broker.url);
  let aborted = false;
  const running = await startServer((_n, { signal }) => {
    signal.addEventListener("abort", () => aborted = true);
    return new Promise(() => {});
  }, { drainTimeoutMs: 50 });
  await peer.send(running.queue, "1");
  await waitFor(() => running.server.pending === 1, { what: "a request under way" });
  assertEquals(await running.server.close(), 1);
  assertEquals(aborted, true);
  // A quorum queue takes a moment.
  await waitFor(async () => (await peer.look(running.queue)).messages === 1, {
    what: "the request to be back",
  });
});

Deno.test("RpcServer: declares the queue as asked, or uses it as it is", async () => {
  await using peer = await RawChannel.open(broker.url);
  for (const queueType of QUEUE_TYPES) {
    if (queueType === "transient" && !await permitsTransientQueues(broker.url)) continue;
    await using running = await startServer(double, { queueType });
    // Declaring it again is refused unless it is the same.
    await peer.channel.queueDeclare(
      running.queue,
      { durable: queueType !== "transient", autoDelete: false },
      queueType === "quorum" ? { "x-queue-type": "quorum" } : {},
    );
    await using second = await startServer(double, { queue: running.queue, queueType: "classic" });
    assertEquals((await peer.look(second.queue)).consumers, 2);
    await peer.channel.queueDelete(running.queue);
  }
});

Deno.test("RpcServer: a queue's name must leave room for that of its suspects' queue", () => {
  const make = (bytes: number) => makeServer("x".repeat(bytes), double);
  make(246);
  assertThrows(() => make(247), RpcError);
});

Deno.test("RpcServer: comes back when its queue is deleted", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  await peer.channel.queueDelete(running.queue);
  await waitFor(async () => {
    try {
      return (await peer.look(running.queue)).consumers === 1;
    } catch {
      return false; // Not declared again yet.
    }
  }, { what: "the queue to be declared and consumed again" });
  await peer.send(running.queue, "4");
  assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "8");
});

Deno.test("RpcServer: what a codec's own exception refuses is invalid_argument, and no error in the log", async () => {
  await using log = await CollectedLog.start();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("server");
  await using server = new RpcServer({ url: broker.url });
  server.serve({ queue, input: json(), output: json() }, (request) => request);
  await server.start();
  await peer.send(queue, "{");
  await peer.send(queue, '{"a":1}');
  const [refused, echoed] = await peer.waitForReplies(2);
  assertEquals(JSON.parse(refused!.bodyToString()!).code, "invalid_argument");
  assertEquals(echoed!.bodyToString(), '{"a":1}');
  assertEquals(log.messages(/JSON/, "debug").length, 1);
  assertEquals(log.records.filter(({ level }) => level === "error"), []);
});

Deno.test("RpcServer: failures of handlers are logged with a limit, the others at debug", async () => {
  await using log = await CollectedLog.start();
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer((n) => {
    throw new Error(`failure ${n}`);
  });
  for (const n of [1, 2, 3]) await peer.send(running.queue, String(n));
  await peer.waitForReplies(3);
  assertEquals(log.messages(/failure/, "error").length, 1);
  assertEquals(log.messages(/failure/, "debug").length, 2);
});

Deno.test("RpcServer: requests that can't be answered are logged with a limit", async () => {
  await using log = await CollectedLog.start();
  await using peer = await RawChannel.open(broker.url);
  await using running = await startServer(double);
  for (const n of [1, 2, 3]) await peer.send(running.queue, String(n), { replyTo: running.queue });
  await waitFor(() => running.server.stats.rejected === 3, { what: "three rejections" });
  assertEquals(log.messages(/can't be answered/).length, 1);
});

Deno.test("RpcServer: waits for whatever has a then method, and calls it once", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queries: number[] = [];
  const query = (n: number): PromiseLike<string> => ({
    then: (resolve, reject) => {
      queries.push(n);
      const result = n === 2 ? Promise.reject(new RpcError("out_of_range", "2")) : String(n);
      return Promise.resolve(result).then(resolve, reject);
    },
  });
  await using running = await startServer(query);
  for (const n of [1, 2]) await peer.send(running.queue, String(n), { correlationId: String(n) });
  const replies = await peer.waitForReplies(2);
  const byId = new Map(replies.map((reply) => [reply.properties.correlationId, reply]));
  assertEquals(byId.get("1")!.bodyToString(), "1");
  assertEquals(byId.get("2")!.properties.headers?.["x-error-code"], "out_of_range");
  assertEquals(queries, [1, 2]);
});

Deno.test("RpcServer: an expiration of 0 and one that no timer can hold bound no work", async () => {
  await using peer = await RawChannel.open(broker.url);
  const deadlines: (number | undefined)[] = [];
  await using running = await startServer(async (n, { signal, timeLeftMs }) => {
    deadlines.push(timeLeftMs());
    await new Promise((resolve) => setTimeout(resolve, 20));
    signal.throwIfAborted();
    return String(n);
  });
  // With a consumer that is ready it is delivered at once; without one it would never be.
  for (const [n, expiration] of ["0", "2147483648", "4294967295"].entries()) {
    await peer.send(running.queue, String(n), { expiration });
  }
  const replies = await peer.waitForReplies(3);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["0", "1", "2"]);
  assertEquals(deadlines[0], undefined);
  assert(deadlines[2]! > 2 ** 31);
});

Deno.test("RpcServer: a call that is sent again with more time is answered within that time", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release = Promise.withResolvers<void>();
  const contexts: HandlerContext[] = [];
  await using running = await startServer(async (n, context) => {
    contexts.push(context);
    void context.signal;
    await release.promise;
    return String(n);
  });
  const { queue, server } = running;
  await peer.send(queue, "1", { correlationId: "a", expiration: "1000" });
  await waitFor(() => contexts.length === 1, { what: "the first to be started" });
  const deadline = performance.now() + contexts[0]!.timeLeftMs()!;
  await peer.send(queue, "1", { correlationId: "a", expiration: "60000" });
  await peer.send(queue, "1", { correlationId: "a", expiration: "500" });
  await waitFor(() => server.stats.requests === 3 && performance.now() > deadline + 100, {
    what: "the time of the first to pass",
  });
  const isJoined = contexts.length === 1;
  if (isJoined) assertEquals([contexts[0]!.signal.aborted, server.pending], [false, 3]);
  release.resolve();
  const replies = await peer.waitForReplies(1);
  assertEquals(replies.map((reply) => reply.bodyToString()), ["1"]);
  await waitFor(() => server.pending === 0, { what: "both to be settled" });
  assertEquals(await server.close(), 0);
  assertEquals((await peer.look(queue)).messages, 0);
});

Deno.test("RpcServer: two callers with the same correlation id and body are both answered", async () => {
  await using first = await RawChannel.open(broker.url);
  await using second = await RawChannel.open(broker.url);
  const release: (() => void)[] = [];
  await using running = await startServer((n) =>
    new Promise((resolve) => release.push(() => resolve(String(n))))
  );
  for (const peer of [first, second]) await peer.send(running.queue, "1", { correlationId: "a" });
  await waitFor(() => release.length === 2, { what: "both to be started" });
  for (const answer of release) answer();
  await first.waitForReplies(1);
  await second.waitForReplies(1);
});

Deno.test("HandlerContext: can be copied and taken apart", async () => {
  await using peer = await RawChannel.open(broker.url);
  const seen: unknown[] = [];
  await using running = await startServer(async (n, context) => {
    const { isCallerGone } = context;
    const copy = { ...context, user: "me" };
    seen.push(await isCallerGone(), copy.signal instanceof AbortSignal, copy.redelivered);
    seen.push(Object.keys(copy).sort());
    return String(n);
  });
  await peer.send(running.queue, "1", { expiration: "60000" });
  await peer.waitForReplies(1);
  const keys = ["contentType", "correlationId", "headers", "isCallerGone", "redelivered"];
  assertEquals(seen, [
    false,
    true,
    false,
    [...keys, "replyHeaders", "signal", "timeLeftMs", "user"],
  ]);
});

Deno.test("RpcServer: a request is answered though its queue is deleted meanwhile", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release = Promise.withResolvers<void>();
  const states: string[] = [];
  await using running = await startServer(async (n) => {
    await release.promise;
    return String(n);
  }, { onStateChange: ({ state }) => states.push(state) });
  const { queue, server } = running;
  await peer.send(queue, "1");
  await waitFor(() => server.pending === 1, { what: "the request" });
  await peer.channel.queueDelete(queue);
  await waitFor(() => peer.look(queue).then(({ consumers }) => consumers === 1, () => false), {
    what: "the queue to be consumed again",
  });
  release.resolve();
  assertEquals((await peer.waitForReplies(1))[0]!.bodyToString(), "1");
  assertEquals(states, ["connected"]); // The broker was there all the time.
});

Deno.test("RpcServer.close: its states are draining and closed, and the log speaks of no loss", async () => {
  await using log = await CollectedLog.start();
  await using peer = await RawChannel.open(broker.url);
  const release = Promise.withResolvers<void>();
  const states: string[] = [];
  const queue = uniqueQueue("close");
  await peer.declare(queue); // The log would speak of a broker that refuses a transient one.
  await using running = await startServer(async (n) => {
    await release.promise;
    return String(n);
  }, { queue, onStateChange: ({ state }) => states.push(state) });
  const { server } = running;
  await peer.send(queue, "1");
  await waitFor(() => server.pending === 1, { what: "the request" });
  const closed = server.close();
  assertEquals(server.state, "draining");
  // How many consumers it has would not tell: a quorum queue counts one that was
  // cancelled until what it holds is settled.
  await peer.look(queue);
  release.resolve();
  assertEquals(await closed, 0);
  assertEquals(server.state, "closed");
  assertEquals(states, ["connected", "draining", "closed"]);
  assertEquals(log.records.filter(({ level }) => level === "warning" || level === "error"), []);
  await peer.waitForReplies(1);
});

Deno.test("RpcServer.close: does not wait for a silent broker where nothing is in hand", async () => {
  await using link = await startProxy(Number(new URL(broker.url).port));
  await using running = await startServer(double, { url: link.url(broker.url) });
  link.blackhole();
  const start = performance.now();
  assertEquals(await running.server.close(), 0);
  assert(performance.now() - start < 15_000, "it waited for drainTimeoutMs");
});

Deno.test("RpcServer.close: while the server starts, what it started is answered", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("server");
  await peer.declare(queue);
  const ROUNDS = 20;
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < 5; n++) await peer.send(queue, String(n));
    let starts = 0;
    const answered = peer.replies.length;
    const server = makeServer(queue, async (n) => {
      starts += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
      return String(n);
    });
    const started = server.start().catch((error: RpcError) =>
      assertEquals(error.code, "cancelled")
    );
    // From the first moment of a start to the last one.
    const probe = performance.now();
    await waitFor(() => performance.now() - probe >= round * 2, {
      what: "a moment",
      intervalMs: 1,
    });
    assertEquals(await server.close(), 0);
    await started;
    const startsThen = starts;
    await waitFor(() => peer.replies.length === answered + starts, { what: "all replies" });
    assertEquals(starts, startsThen);
    await peer.channel.queuePurge(queue);
  }
});

Deno.test("RpcServer.start: can be tried again after a refusal", async () => {
  const queue = uniqueQueue("server");
  const url = broker.url.replace(/:[^:@/]*@/, ":wrong@");
  const credentials = { wrong: true };
  await using server = makeServer(queue, double, {
    url: url.replace("guest:wrong@", ""),
    credentials: () => ({ username: "guest", password: credentials.wrong ? "wrong" : "guest" }),
  });
  const error = await assertRejects(() => server.start(), RpcError);
  assertEquals([error.code, server.state], ["unauthenticated", "idle"]);
  credentials.wrong = false;
  await server.start();
  assertEquals(server.state, "connected");
});

Deno.test("RpcServer: a call that is sent again when its first time is up is started again", async () => {
  await using peer = await RawChannel.open(broker.url);
  const release = Promise.withResolvers<void>();
  const signals: AbortSignal[] = [];
  await using running = await startServer(async (n, { signal }) => {
    signals.push(signal);
    await release.promise;
    return String(n);
  });
  await peer.send(running.queue, "1", { correlationId: "a", expiration: "50" });
  await waitFor(() => signals[0]?.aborted, { what: "the time of the first to pass" });
  await peer.send(running.queue, "1", { correlationId: "a", expiration: "60000" });
  await waitFor(() => signals.length === 2, { what: "the second to be started" });
  release.resolve();
  await peer.waitForReplies(1);
  assertEquals(signals[1]!.aborted, false);
});

Deno.test("RpcServer.close: what was delivered before the server knew that it consumes is answered", async () => {
  await using peer = await RawChannel.open(broker.url);
  await using link = await startProxy(Number(new URL(broker.url).port));
  const queue = uniqueQueue("server");
  await peer.declare(queue);
  for (let n = 0; n < 5; n++) await peer.send(queue, String(n));
  let starts = 0;
  await using server = makeServer(queue, async (n) => {
    starts += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    return String(n);
  }, { url: link.url(broker.url) });
  link.delay(1, 200);
  const started = server.start().catch((error: RpcError) => assertEquals(error.code, "cancelled"));
  await waitFor(async () => (await peer.look(queue)).consumers === 1, { what: "the consumer" });
  assertEquals([await server.close(), starts], [0, 5]);
  await started;
  await peer.waitForReplies(5);
  assertEquals((await peer.look(queue)).messages, 0);
});
