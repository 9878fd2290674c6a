import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Connection } from "../../../src/amqp/connection.ts";
import type { Delivery, MessageProperties } from "../../../src/amqp/message.ts";
import type { QueueInspection } from "../../../src/amqp/queue.ts";
import { RpcError } from "../../../src/errors.ts";
import { CalledQueue } from "../../../src/rpc/client/called_queue.ts";
import { Outbox } from "../../../src/rpc/client/outbox.ts";
import { type PendingCall, PendingCalls } from "../../../src/rpc/client/pending_calls.ts";
import { MessageSizeLimit } from "../../../src/rpc/message_limit.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { texts } from "../../support/services.ts";

/** One connection's channel, as an outbox sees it, and what it publishes. */
class FakeChannel {
  readonly published: { body: string; properties: MessageProperties }[] = [];
  readonly confirm = Promise.withResolvers<{ ended: Promise<Error> }>();
  isClosed = false;
  return: (message: Delivery) => void = () => {};
  end: (reason: Error) => void = () => {};

  get bodies(): string[] {
    return this.published.map(({ body }) => body);
  }

  onReturn(listener: (message: Delivery) => void): void {
    this.return = listener;
  }

  onEnd(listener: (reason: Error) => void): void {
    this.end = listener;
  }

  consume(): Promise<{ ended: Promise<Error> }> {
    return this.confirm.promise;
  }

  requested(): Promise<void> {
    return Promise.resolve();
  }

  publish(_queue: string, body: string, properties: MessageProperties): void {
    this.published.push({ body, properties });
  }

  close(): void {
    this.isClosed = true;
  }
}

/** An outbox and its calls, on a clock that the test moves. */
class Scene implements Disposable {
  readonly clock = new FakeClock();
  readonly queue = new CalledQueue("queue");
  readonly outcomes: string[] = [];
  readonly calls = new PendingCalls({
    onDeadlineNear: () => {},
    onDeadline: () => {},
    onAbort: () => {},
    onSettled: (_call, outcome) => this.outcomes.push(outcome),
  });
  readonly limit = new MessageSizeLimit(1_000);
  readonly outbox: Outbox;
  found: QueueInspection = { found: true, consumers: 1, messages: 0 };
  isConnected = true;
  resent = 0;

  constructor({ requireServer = false } = {}) {
    this.queue.inspect = () => Promise.resolve(this.found);
    this.outbox = new Outbox({
      calls: this.calls,
      limit: this.limit,
      reply: "direct",
      requireServer,
      isConnected: () => this.isConnected,
      onReply: () => {},
      onResent: () => this.resent += 1,
      queue: () => this.queue,
      place: ({ body }) => `work(${body})`,
    });
  }

  /** Adds a call whose correlation id is its body. */
  add(body: string, idempotent: boolean, timeoutMs = 60_000): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const call: PendingCall = {
      id: body,
      service: texts("queue") as PendingCall["service"],
      queue: this.queue,
      input: body,
      name: undefined,
      body,
      headers: undefined,
      timeoutMs,
      deadline: performance.now() + timeoutMs,
      idempotent,
      unknownReplies: 0,
      signal: undefined,
      observer: undefined,
      resolve,
      sent: 0,
      sentAt: 0,
      sentOn: undefined,
    };
    this.calls.add(call, performance.now());
    this.outbox.send(call);
    return promise;
  }

  /** A new connection, which the broker has not confirmed yet. */
  async connect(): Promise<FakeChannel> {
    const channel = new FakeChannel();
    const connection = { openChannel: () => Promise.resolve(channel), blocked: undefined };
    this.outbox.establish(connection as unknown as Connection).catch(() => {});
    await settle();
    return channel;
  }

  /** A new connection, confirmed. */
  async connected(): Promise<FakeChannel> {
    const channel = await this.connect();
    channel.confirm.resolve({ ended: new Promise(() => {}) });
    await settle();
    return channel;
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]();
  }
}

/** Until all promises have settled that can. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

async function failure(call: Promise<unknown>): Promise<string> {
  const { code, message } = await assertRejects(() => call, RpcError);
  return `${code}: ${message}`;
}

Deno.test("Outbox: only what may run twice goes out before the broker confirms the channel", async () => {
  using scene = new Scene();
  scene.add("once", false);
  scene.add("often", true);
  const channel = await scene.connect();
  assertEquals(channel.bodies, ["often"]);
  channel.confirm.resolve({ ended: new Promise(() => {}) });
  await settle();
  assertEquals(channel.bodies, ["often", "once"]);
  assertEquals(scene.resent, 0);
});

Deno.test("Outbox: what a refused channel was given is sent by the next for the first time", async () => {
  using scene = new Scene();
  const often = scene.add("often", true);
  const refused = await scene.connect();
  assertEquals(refused.bodies, ["often"]);
  refused.confirm.reject(new Error("no"));
  await settle();
  const channel = await scene.connected();
  assertEquals(channel.bodies, ["often"]);
  assertEquals(scene.resent, 0);
  const outcome = failure(often);
  channel.return({ properties: { correlationId: "often" }, routingKey: "queue" } as Delivery);
  assertMatch(await outcome, /^no_server: nobody serves work\(often\)/);
});

Deno.test("Outbox: a lost channel fails what must not run twice, and the next sends the others again", async () => {
  using scene = new Scene();
  const channel = await scene.connected();
  const once = scene.add("once", false);
  scene.add("often", true);
  assertEquals(channel.bodies, ["once", "often"]);
  channel.end(new Error("lost")); // The channel alone: the connection may live on.
  assertMatch(await failure(once), /^unavailable: outcome unknown.*work\(once\)/);
  scene.add("later", false);
  assertEquals([channel.bodies, channel.isClosed], [["once", "often"], true]);
  assertEquals((await scene.connected()).bodies, ["often", "later"]);
  assertEquals([scene.resent, scene.calls.size], [1, 2]);
});

Deno.test("Outbox: no request goes out whose time is up", async () => {
  using scene = new Scene();
  scene.add("short", true, 1_000);
  scene.add("long", true, 2_000);
  scene.clock.advance(1_000); // Its timer may come later than a connection.
  const channel = await scene.connected();
  assertEquals(channel.bodies, ["long"]);
  assertEquals(channel.published[0]!.properties.expiration, "1000");
});

Deno.test("Outbox: a channel closed for an oversized body fails that call only", async () => {
  using scene = new Scene();
  const channel = await scene.connected();
  const large = scene.add("x".repeat(500), true);
  scene.add("small", true);
  channel.end(
    new Error("PRECONDITION_FAILED - message size 500 is larger than max size 100 (406)"),
  );
  assertMatch(
    await failure(large),
    /^resource_exhausted: .* 500 bytes, over the message limit of 100/,
  );
  assertEquals([...scene.calls].map(({ id }) => id), ["small"]);
  assertEquals(scene.limit.allows("x".repeat(500)), false);
  await scene.connected(); // Maybe to another broker.
  assertEquals(scene.limit.allows("x".repeat(500)), true);
});

Deno.test("Outbox: a returned request is no_server at first, and tried again once the queue was there", async () => {
  using scene = new Scene();
  const first = await scene.connected();
  const returned = (id: string) => ({ properties: { correlationId: id }, routingKey: "queue" });
  const missing = scene.add("missing", true);
  first.return(returned("missing") as Delivery);
  assertMatch(await failure(missing), /^no_server: .*does not exist/);
  assertEquals(scene.queue.missingAt, performance.now());

  scene.add("again", true);
  first.end(new Error("lost"));
  await settle();
  const second = await scene.connected();
  assertEquals(second.bodies, ["again"]);
  second.return(returned("again") as Delivery);
  scene.clock.advance(49); // 100 ms, give or take half.
  assertEquals(second.bodies, ["again"]);
  scene.clock.advance(101);
  assertEquals(second.bodies, ["again", "again"]);
  assertEquals(scene.resent, 2);
});

for (
  const [name, found, expected] of [
    ["nobody consumes", { found: true, consumers: 0, messages: 0 }, /no_server: .*no consumer/],
    ["does not exist", { found: false }, /no_server: .*does not exist/],
  ] as const
) {
  Deno.test(`Outbox: where a server is required, no request goes to a queue that ${name}`, async () => {
    using scene = new Scene({ requireServer: true });
    scene.found = found;
    const channel = await scene.connected();
    assertMatch(await failure(scene.add("a", true)), expected);
    scene.found = { found: true, consumers: 1, messages: 0 };
    scene.add("b", true);
    const ended = failure(scene.add("c", true));
    scene.calls.fail(scene.calls.get("c")!, new RpcError("cancelled", "no more"));
    assertMatch(await ended, /no more/);
    await settle();
    assertEquals(channel.bodies, ["b"]);
  });
}
