/**
 * Requests that one client sends in order to keep servers from working for
 * the others, from a user with no more rights than the README gives.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { FibonacciClient } from "../../src/services/fibonacci/client.ts";
import { type Broker, startBroker } from "../support/broker.ts";
import {
  addressOf,
  addressOfTerm,
  type AddressParts,
  goneAddress,
  partsOf,
} from "../support/direct_address.ts";
import { spawnFibrpc } from "../support/fibrpc_command.ts";
import type { Program } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import {
  concat,
  entry,
  message,
  type RawProperties,
  RawSocket,
  u64,
} from "../support/raw_socket.ts";
import { waitFor } from "../support/wait.ts";

const QUEUE = "rpc_queue";

/** A request of the flood. */
interface ForgedRequest extends RawProperties {
  body: string;
}

/** A broker, servers and callers, each with the README's permissions. */
class Fleet implements AsyncDisposable {
  readonly broker: Broker;
  readonly servers: readonly Program[];
  /** The URL of an ordinary caller. */
  readonly clientUrl: string;
  /** A direct address as the broker gives them. */
  readonly address: string;

  private constructor(broker: Broker, servers: Program[], clientUrl: string, address: string) {
    this.broker = broker;
    this.servers = servers;
    this.clientUrl = clientUrl;
    this.address = address;
  }

  static async start(size: number, ...args: string[]): Promise<Fleet> {
    const broker = await startBroker({ management: true });
    const [serverUrl, clientUrl] = [
      await addUser(broker, "fibrpc-server"),
      await addUser(broker, "fibrpc-client"),
    ];
    const serve = ["serve", "--url", serverUrl, "--queue", QUEUE, ...args];
    const servers = Array.from({ length: size }, () => spawnFibrpc(serve));
    const fleet = new Fleet(broker, servers, clientUrl, await goneAddress(clientUrl));
    for (const server of servers) await server.waitForStderr(/Awaiting RPC requests/);
    return fleet;
  }

  /** Ten calls a second during `attack`: 95 % are answered within 2 s each. */
  async assertUsable(n: number, attack: () => Promise<void>): Promise<void> {
    await using client = new FibonacciClient({ url: this.clientUrl, queue: QUEUE });
    await client.fibonacci(n); // It is connected.
    let isOver = false;
    const attacking = attack().finally(() => isOver = true);
    attacking.catch(() => {}); // It is waited for below.
    const calls: Promise<boolean>[] = [];
    for (let at = performance.now(); !isOver; at += 100) {
      calls.push(client.fibonacci(n, { timeoutMs: 2_000 }).then(() => true, () => false));
      await until(at + 100);
    }
    await attacking;
    const answered = (await Promise.all(calls)).filter((isAnswered) => isAnswered).length;
    const { length } = calls;
    assert(length > 10, `${length} calls`);
    assert(answered >= 0.95 * length, `${answered} of ${length} calls were answered`);
  }

  /** Sends so many requests to a queue, evenly, so many a second. */
  async flood(
    queue: string,
    count: number,
    perSecond: number,
    request: (index: number) => ForgedRequest,
  ): Promise<void> {
    await using socket = await RawSocket.open(this.clientUrl);
    const batch = Math.ceil(perSecond / 20);
    const start = performance.now();
    for (let sent = 0; sent < count; sent += batch) {
      const messages = Array.from({ length: batch }, (_, index) => {
        const { body, ...properties } = request(sent + index);
        return message(queue, body, { ...properties, correlationId: `forged ${sent + index}` });
      });
      await socket.write(concat(...messages));
      await until(start + (sent + batch) / perSecond * 1_000);
    }
    await socket.sync();
  }

  /** Whether all servers are as they were when they started. */
  async assertUnharmed(): Promise<void> {
    await using peer = await RawChannel.open(this.broker.url);
    for (const queue of [QUEUE, `${QUEUE}.suspects`]) {
      await waitFor(async () => (await peer.look(queue)).messages === 0, {
        what: `${queue} to be empty`,
      });
    }
    for (const server of this.servers) {
      assert(!server.ended, server.stderr);
      // RabbitMQ 4.3 takes a message to a made-up address, so that a forged request can be given up.
      const others = server.stderr.replace(/.*gave up request.*/g, "");
      assert(!/lost|ERROR/.test(others), server.stderr);
      server.kill("SIGTERM");
      assertEquals((await server.waitForExit()).code, 0, server.stderr);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
  }
}

/** Makes one of the README's users. */
async function addUser({ management, url }: Broker, user: string): Promise<string> {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const line = new RegExp(`^rabbitmqctl set_permissions ${user} '(.*)' '(.*)' '(.*)'$`, "m");
  const [, configure, write, read] = line.exec(readme)!;
  const password = crypto.randomUUID();
  await management.request("PUT", `users/${user}`, { password, tags: "" });
  await management.request("PUT", `permissions/%2F/${user}`, { configure, write, read });
  const changed = new URL(url);
  Object.assign(changed, { username: user, password });
  return changed.href;
}

/** Resolves at a time of `performance.now()`. */
function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(time - performance.now(), 0)));
}

/** Addresses that no broker gave: malformed ones, and those of a thousand nodes. */
function forged(parts: AddressParts, index: number): string {
  const invented = `reply@${1_000_000 + Math.floor(index / 2) % 1_000}`;
  const malformed = [
    "amq.rabbitmq.reply-to.garbage.garbage",
    addressOfTerm([131, 119, 1, 120]),
    addressOf({ ...parts, node: "rabbit@localhost" }),
    addressOf({ ...parts, id: 0xffff_ffff }),
    addressOf({ ...parts, id: 0xfff_ffff, serial: index }), // Of the broker's own node.
  ];
  return index % 2 === 0
    ? addressOf({ ...parts, node: invented, id: index })
    : malformed[index % malformed.length]!;
}

Deno.test("forged: what one client sends costs no connection, and no call of another", async (t) => {
  await using fleet = await Fleet.start(2, "--exit-on-disconnect");
  const parts = partsOf(fleet.address);

  await t.step("200 requests a second of a thousand made-up nodes", async () => {
    const request = (index: number) => ({ body: "30", replyTo: forged(parts, index) });
    await fleet.assertUsable(30, () => fleet.flood(QUEUE, 2_000, 200, request));
    for (const { stderr } of fleet.servers) {
      assertMatch(stderr, /rejected request .*, which can't be answered: its reply_to/);
      assert(stderr.split("\n").length < 20, stderr); // Not a line for each.
    }
  });

  await t.step("the same, put straight into the suspects' queue", async () => {
    const request = (index: number) => ({
      body: "30",
      replyTo: forged(parts, index),
      headers: entry("x-fibrpc-attempts", "l", u64(BigInt(index % 5))),
    });
    await fleet.assertUsable(30, async () => {
      await fleet.flood(`${QUEUE}.suspects`, 400, 200, request);
      // Servers look there now and then; what they hold counts until it is settled.
      const unsettled = async () => (await fleet.broker.queue(`${QUEUE}.suspects`))!.messages;
      await waitFor(async () => await unsettled() > 0, { what: "the flood to be seen" });
      await waitFor(async () => await unsettled() === 0, { what: "the flood to be over" });
    });
  });

  await fleet.assertUnharmed();
});

Deno.test("forged: with limits, a flood of the largest numbers leaves a fleet usable", async () => {
  const MAX_N = 5_000;
  const CONNECTIONS = 10;
  const limits = ["--max-n", String(MAX_N), "--allow-reply-to", "amq.rabbitmq.reply-to.*"];
  await using fleet = await Fleet.start(2, ...limits);
  const { management, url } = fleet.broker;
  const limit = "user-limits/fibrpc-client/max-connections";
  await management.request("PUT", limit, { value: CONNECTIONS });
  await using other = await RawChannel.open(url); // Somebody else's queue.

  const flooding = fleet.flood(QUEUE, 1_000, 200, (index) => ({
    body: String(index % 10 === 0 ? 1_000_000 : MAX_N),
    replyTo: index % 2 === 0 ? fleet.address : other.replyTo,
  }));
  await fleet.assertUsable(MAX_N, () => flooding);
  assertEquals(other.replies, []);
  await fleet.assertUnharmed();

  // Nor can the user take all of the broker's connections.
  await using sockets = new AsyncDisposableStack();
  await assertRejects(async () => {
    for (let n = 0; n <= CONNECTIONS; n++) sockets.use(await RawSocket.open(fleet.clientUrl));
  }, Error);
});

Deno.test("forged: a server that may have only one connection publishes without a look", async () => {
  await using broker = await startBroker({ management: true });
  const [serverUrl, clientUrl] = [
    await addUser(broker, "fibrpc-server"),
    await addUser(broker, "fibrpc-client"),
  ];
  const limit = "user-limits/fibrpc-server/max-connections";
  await broker.management.request("PUT", limit, { value: 1 });
  await using server = spawnFibrpc(["serve", "--url", serverUrl, "--queue", QUEUE]);
  await server.waitForStderr(/Awaiting RPC requests/);
  await using client = new FibonacciClient({ url: clientUrl, queue: QUEUE, timeoutMs: 10_000 });
  const answers = Array.from({ length: 100 }, () => client.fibonacci(30));
  assertEquals([...new Set(await Promise.all(answers))], [832_040n]);
  assert(!/lost|ERROR|rejected/.test(server.stderr), server.stderr);
});
