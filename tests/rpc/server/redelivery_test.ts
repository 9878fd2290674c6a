/** What becomes of requests that are delivered again, whatever happens to the suspects' queue. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RpcServer } from "../../../src/rpc/server/server.ts";
import type { RpcHandler } from "../../../src/rpc/server/handler.ts";
import type { RpcServerOptions, ServeOptions } from "../../../src/rpc/server/options.ts";
import { type Broker, sharedBroker, startBroker, uniqueQueue } from "../../support/broker.ts";
import { DyingServer } from "../../support/dying_server.ts";
import { CollectedLog } from "../../support/log.ts";
import { type FaultProxy, startProxy } from "../../support/proxy.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { RawSocket } from "../../support/raw_socket.ts";
import { numbers } from "../../support/services.ts";
import { waitFor } from "../../support/wait.ts";

type Body = string | Uint8Array;

const double: RpcHandler<number, Body> = (n) => String(2 * n);

function makeServer(
  url: string,
  queue: string,
  options: RpcServerOptions & ServeOptions = {},
  handler: RpcHandler<number, Body> = double,
): RpcServer {
  const server = new RpcServer({ ...options, url });
  server.serve(numbers(queue, 1_000_000), handler, options);
  return server;
}

/** Sends requests to a server that dies with some of them, or all, and waits until all are answered. */
async function redeliver(broker: Broker, peer: RawChannel, queue: string): Promise<void> {
  const expected = peer.replies.length + COUNT;
  await using dying = await DyingServer.start(broker.url, queue);
  for (let n = 0; n < COUNT; n++) await peer.send(queue, String(n), { correlationId: String(n) });
  await waitFor(() => dying.held > 0 && peer.replies.length + dying.held === expected, {
    what: "requests in the hands of the server that dies",
  });
  await dying[Symbol.asyncDispose]();
  await peer.waitForReplies(expected);
}

const COUNT = 20;

/** Who serves: all but to read the suspects' queue. */
const USER = "no-suspects";

type Prepare = (broker: Broker, peer: RawChannel, suspects: string) => Promise<void>;

const policy = (definition: Record<string, unknown>): Prepare => async (broker, _, suspects) => {
  await broker.management.request("PUT", `policies/%2F/${suspects}`, {
    pattern: `^${suspects}$`,
    definition,
    "apply-to": "queues",
  });
};

const declared = (args: Record<string, unknown>): Prepare => async (_, peer, suspects) => {
  await peer.channel.queueDeclare(suspects, { durable: true, autoDelete: false }, args);
};

/** What may be done to the suspects' queue, and whether that is logged. */
const CASES: Record<string, [prepare: Prepare, isLogged: boolean]> = {
  "rejects what is published": [policy({ "max-length": 0, overflow: "reject-publish" }), true],
  "drops its head at once": [policy({ "max-length": 0 }), true],
  "holds few, and rejects": [policy({ "max-length": 5, overflow: "reject-publish" }), true],
  "holds few, and drops its head": [policy({ "max-length": 5 }), true],
  "lets all expire at once": [policy({ "message-ttl": 0 }), true],
  "dead-letters": [
    policy({
      "message-ttl": 0,
      "dead-letter-exchange": "",
      "dead-letter-routing-key": "graveyard",
    }),
    true,
  ],
  "is a stream": [declared({ "x-queue-type": "stream" }), true],
  "is a quorum queue with a single active consumer": [
    declared({ "x-queue-type": "quorum", "x-single-active-consumer": true }),
    false,
  ],
  "is a plain queue": [declared({}), false],
  "may not be read": [async (broker, _, suspects) => {
    const queue = suspects.replace(/\.suspects$/, "");
    await broker.management.request("PUT", `users/${USER}`, { password: USER, tags: "" });
    await broker.management.request("PUT", `permissions/%2F/${USER}`, {
      configure: `^${queue}(\\.suspects)?$`,
      write: "^amq\\.default$",
      read: `^${queue}$`,
    });
  }, true],
  "may be neither declared nor read": [async (broker, _, suspects) => {
    const queue = suspects.replace(/\.suspects$/, "");
    await broker.management.request("PUT", `users/${USER}`, { password: USER, tags: "" });
    await broker.management.request("PUT", `permissions/%2F/${USER}`, {
      configure: `^${queue}$`,
      write: "^amq\\.default$",
      read: `^${queue}$`,
    });
  }, true],
};

Deno.test("redelivered requests are answered, and one line says so, where the suspects' queue", async (t) => {
  await using broker = await startBroker({ management: true });
  for (const [what, [prepare, isLogged]] of Object.entries(CASES)) {
    await t.step(what, async () => {
      await using log = await CollectedLog.start();
      await using peer = await RawChannel.open(broker.url);
      const queue = uniqueQueue("redelivery");
      const suspects = `${queue}.suspects`;
      await prepare(broker, peer, suspects);
      const url = what.includes("may ")
        ? broker.url.replace("guest:guest", `${USER}:${USER}`)
        : broker.url;
      await using server = makeServer(url, queue, { name: queue, prefetch: COUNT });
      await server.start();
      for (let round = 1; round <= 2; round++) {
        await redeliver(broker, peer, queue);
        assertEquals(server.pending, 0);
        const connection = () =>
          broker.connections().then((all) => all.find(({ clientName }) => clientName === queue));
        await waitFor(async () => (await connection())?.channels === 1, {
          what: "all channels but one to be closed",
        });
      }
      assertEquals(await server.close(), 0);
      assertEquals((await peer.look(queue)).messages, 0);
      // Nothing is put where this server can't get it back from, but for a stream that lets
      // itself be consumed like a queue, as on RabbitMQ 4.3: it keeps what it is given.
      if (what !== "is a stream") {
        await waitFor(async () => !(await broker.queue(suspects))?.messages, { what: "no record" });
      }
      const warnings = log.messages(/can't use/);
      assertEquals(warnings.length, isLogged ? 1 : 0, warnings.join("\n"));
      assertEquals(log.messages(/lost/), []);
    });
  }
});

/** A server whose requests wait until they are released. */
class WaitingServer {
  readonly server: RpcServer;
  /** How often a request was started. */
  starts = 0;
  #release = Promise.withResolvers<void>();

  constructor(url: string, queue: string, options: ServeOptions = {}) {
    this.server = makeServer(url, queue, options, async (n) => {
      this.starts += 1;
      await this.#release.promise;
      return String(2 * n);
    });
  }

  release(): void {
    this.#release.resolve();
  }
}

async function linked(url: string) {
  return await startProxy(Number(new URL(url).port));
}

Deno.test("redelivered requests of a server that lives run as before when its link is reset", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  await using link = await linked(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  // Suspects would run alone.
  const waiting = new WaitingServer(link.url(broker.url), queue, { maxAttempts: 2 });
  await using server = waiting.server;
  await server.start();
  for (let n = 0; n < 64; n++) await peer.send(queue, String(n));
  await waitFor(() => waiting.starts === 64, { what: "64 requests to be started" });
  for (let resets = 1; resets <= 5; resets++) {
    link.reset();
    // None of them has ended: they are started beside each other.
    await waitFor(() => waiting.starts === 64 * (resets + 1), { what: "all to be started again" });
  }
  waiting.release();
  const replies = await peer.waitForReplies(64);
  for (const reply of replies) assertEquals(reply.properties.type, undefined);
  assertEquals((await peer.look(`${queue}.suspects`)).messages, 0);
});

Deno.test("redelivered requests of one of two servers run beside each other when its link is reset", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  await using link = await linked(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  const first = new WaitingServer(link.url(broker.url), queue);
  const second = new WaitingServer(broker.url, queue);
  await using one = first.server;
  await one.start();
  for (let n = 0; n < 64; n++) await peer.send(queue, String(n));
  await waitFor(() => first.starts === 64, { what: "64 requests to be started" });
  await using other = second.server;
  await other.start();
  link.reset();
  await waitFor(() => first.starts - 64 + second.starts === 64, {
    what: "all to be started again",
  });
  assert(second.starts > 0, "the second server got none");
  first.release();
  second.release();
  await peer.waitForReplies(64);
});

Deno.test("a request is not given up however often the links of its servers are reset", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  await using fleet = new AsyncDisposableStack();
  const servers: { waiting: WaitingServer; link: FaultProxy }[] = [];
  for (let n = 0; n < 4; n++) {
    const link = fleet.use(await linked(broker.url));
    // One loss that counted would be too many.
    const waiting = new WaitingServer(link.url(broker.url), queue, { maxAttempts: 2 });
    fleet.use(waiting.server);
    await waiting.server.start();
    servers.push({ waiting, link });
  }
  await peer.send(queue, "1", { correlationId: "a" });
  for (let resets = 0; resets < 8; resets++) {
    await waitFor(() => sum(servers) === resets + 1, { what: `start ${resets + 1}` });
    const holding = () => servers.filter(({ waiting: { server } }) => server.pending > 0);
    await waitFor(() => holding().length === 1, { what: "the others to have lost it" });
    const [holder] = holding();
    holder!.link.reset(); // Another server gets it, as long as there is one that never had it.
  }
  await waitFor(() => sum(servers) === 9, { what: "the last start" });
  for (const { waiting } of servers) waiting.release();
  const [reply] = await peer.waitForReplies(1);
  assertEquals(reply!.bodyToString(), "2");
  await waitFor(async () => (await peer.look(`${queue}.suspects`)).messages === 0, {
    what: "all records to be removed",
  });
});

function sum(servers: readonly { waiting: WaitingServer }[]): number {
  return servers.reduce((total, { waiting }) => total + waiting.starts, 0);
}

Deno.test("quarantine: false: no queue for suspects, and redelivered requests run like others", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  const waiting = new WaitingServer(broker.url, queue, { quarantine: false });
  await using server = waiting.server;
  {
    await using dying = await DyingServer.start(broker.url, queue);
    for (let n = 0; n < COUNT; n++) await peer.send(queue, String(n));
    await waitFor(() => dying.held === COUNT, { what: "all requests in its hands" });
  }
  await server.start();
  await waitFor(() => waiting.starts === COUNT, { what: "all to be started" });
  waiting.release();
  await peer.waitForReplies(COUNT);
  await assertRejects(() => peer.look(`${queue}.suspects`), Error);
});

/** A server dies with requests that wait, or are started, and comes no more. */
async function dieWithRecords(
  url: string,
  peer: RawChannel,
  queue: string,
  count: number,
  send = (n: number) => peer.send(queue, String(n), { correlationId: `id ${n}` }),
) {
  await using link = await linked(url);
  const waiting = new WaitingServer(link.url(url), queue);
  await using server = waiting.server;
  {
    await using dying = await DyingServer.start(url, queue);
    for (let n = 0; n < count; n++) await send(n);
    await waitFor(() => dying.held === count, { what: "all requests in its hands" });
  }
  await server.start();
  await waitFor(() => waiting.starts === count, { what: "all to be started" });
  link.refuse();
  link.reset();
  await waitFor(async () => (await peer.look(queue)).messages === count, {
    what: "all to be back",
  });
}

Deno.test("a record says nothing of its request, and when it is of no use", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  await dieWithRecords(broker.url, peer, queue, 1);
  const record = await waitFor(() => peer.channel.basicGet(`${queue}.suspects`), {
    what: "the record",
  });
  const { contentType, replyTo, expiration, correlationId } = record.properties;
  assertEquals([contentType, replyTo], ["application/x-fibrpc-start", undefined]);
  assertEquals(expiration, String(60 * 60 * 1000));
  assert(correlationId !== "id 0");
  assertEquals(record.bodyString()!.length, 44); // Of 32 bytes in base64.
});

Deno.test("records tell requests apart whose correlation ids are not UTF-8", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  await using socket = await RawSocket.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  await dieWithRecords(broker.url, peer, queue, 2, (n) => {
    const correlationId = new Uint8Array([0xff, 0x80 + n]);
    return socket.publish(queue, "1", { correlationId, replyTo: peer.replyTo });
  });
  const keys = new Set<string | null>();
  for (let n = 0; n < 2; n++) {
    const record = await waitFor(() => peer.channel.basicGet(`${queue}.suspects`), {
      what: "a record",
    });
    keys.add(record.bodyString());
  }
  assertEquals(keys.size, 2);
});

Deno.test("a request that was started by a server that died runs alone from then on, its record is removed", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  await dieWithRecords(broker.url, peer, queue, 3);
  const waiting = new WaitingServer(broker.url, queue);
  await using server = waiting.server;
  await server.start();
  await waitFor(() => waiting.starts === 1, { what: "the first to be started" });
  await waitFor(async () => (await peer.look(`${queue}.suspects`)).messages === 2, {
    what: "the records of the others to be there for other servers to see",
  });
  await peer.send(queue, "10"); // The others have waited long enough after a second.
  await waitFor(() => waiting.starts === 2, { what: "another one to be started beside it" });
  assertEquals(server.pending, 4);
  waiting.release();
  await peer.waitForReplies(4);
  assertEquals(waiting.starts, 4);
  await waitFor(async () => (await peer.look(`${queue}.suspects`)).messages === 0, {
    what: "all records to be removed",
  });
});

Deno.test("RpcServer.close: gives back suspects that were not started, and takes none", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await peer.declare(queue);
  await dieWithRecords(broker.url, peer, queue, 3);
  const waiting = new WaitingServer(broker.url, queue);
  await using server = waiting.server;
  await server.start();
  await waitFor(() => waiting.starts === 1, { what: "the first to be started" });
  await peer.send(`${queue}.suspects`, "20");
  const closed = server.close();
  await waitFor(async () => (await peer.look(queue)).messages === 2, { what: "two to be back" });
  waiting.release();
  assertEquals(await closed, 0);
  assertEquals([waiting.starts, (await peer.waitForReplies(1)).length], [1, 1]);
  // The lost records of the others, and what was put there meanwhile.
  await waitFor(async () => (await peer.look(`${queue}.suspects`)).messages === 3, {
    what: "all to be left",
  });
});

Deno.test("requests that are put straight into the suspects' queue are served like others, within bounds", async () => {
  await using log = await CollectedLog.start();
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  const suspects = `${queue}.suspects`;
  const waiting = new WaitingServer(broker.url, queue, { prefetch: 5 });
  await using server = waiting.server;
  await server.start();
  await waitFor(() => peer.look(suspects).then(() => true, () => false), { what: "their queue" });
  for (let n = 0; n < 20; n++) await peer.send(suspects, String(n));
  await waitFor(() => waiting.starts === 5, { what: "some to be started" });
  await peer.send(queue, "100");
  await waitFor(() => waiting.starts === 6, { what: "an honest one to be started beside them" });
  waiting.release();
  await peer.waitForReplies(21);
  // Forged: as if they had killed many servers.
  const headers = { "x-fibrpc-attempts": 1_000_000 };
  for (let n = 0; n < 5; n++) await peer.send(suspects, String(n), { headers });
  const replies = await peer.waitForReplies(26);
  for (const { properties } of replies.slice(21)) {
    assertEquals(properties.headers?.["x-error-code"], "internal");
  }
  assertEquals(server.stats.givenUp, 5);
  assertEquals(log.messages(/gave up/, "error").length, 1);
});

Deno.test("the suspects' queue goes when no server has used it for an hour", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  await using server = makeServer(broker.url, queue);
  await server.start();
  const suspects = `${queue}.suspects`;
  await waitFor(() => peer.look(suspects).then(() => true, () => false), { what: "their queue" });
  // Declaring it again is refused unless it is the same.
  await peer.channel.queueDeclare(suspects, { durable: true, autoDelete: false }, {
    "x-expires": 60 * 60 * 1000,
  });
});

Deno.test("a request that is given up costs no connection, whatever its reply address", async () => {
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  const states: string[] = [];
  await using server = makeServer(broker.url, queue, {
    onStateChange: ({ state }) => states.push(state),
  });
  await server.start();
  const suspects = `${queue}.suspects`;
  await waitFor(() => peer.look(suspects).then(() => true, () => false), { what: "their queue" });
  const headers = { "x-fibrpc-attempts": 1_000_000 };
  await peer.send(suspects, "1", { headers, replyTo: "amq.rabbitmq.reply-to.AAAA.AAAA" });
  await peer.send(suspects, "2", { headers });
  const [reply] = await peer.waitForReplies(1);
  assertEquals(reply!.properties.headers?.["x-error-code"], "internal");
  await waitFor(() => server.pending === 0, { what: "both to be settled" });
  assertEquals(states, ["connected"]);
});

Deno.test("a start is recorded though others read the suspects' queue at the same time", async () => {
  await using log = await CollectedLog.start();
  const broker = await sharedBroker();
  await using peer = await RawChannel.open(broker.url);
  await using other = await RawChannel.open(broker.url);
  const queue = uniqueQueue("redelivery");
  const suspects = `${queue}.suspects`;
  await peer.declare(queue);
  const waiting = new WaitingServer(broker.url, queue);
  await using server = waiting.server;
  await peer.send(queue, "1");
  await (await DyingServer.start(broker.url, queue))[Symbol.asyncDispose]();
  await other.channel.queueDeclare(suspects, { durable: true, autoDelete: false });
  // It was there first: it gets the record first, and keeps it for as long as a slow reader would.
  let taken = 0;
  await other.channel.basicConsume(suspects, { noAck: false, tag: "other" }, async (message) => {
    taken += 1;
    await other.channel.basicCancel("other");
    setTimeout(() => other.channel.basicReject(message.deliveryTag, true), 100);
  });
  await server.start();
  await waitFor(() => waiting.starts === 1, { what: "the start" });
  waiting.release();
  await peer.waitForReplies(1);
  assertEquals([taken, log.messages(/can't use/)], [1, []]);
  await other.look(suspects); // Its last word is sent.
});
