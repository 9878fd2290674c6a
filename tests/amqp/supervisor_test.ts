import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { parseBrokerUrls } from "../../src/amqp/broker_url.ts";
import {
  type ConnectionStateChange,
  ConnectionSupervisor,
  type Session,
  type SupervisorOptions,
} from "../../src/amqp/supervisor.ts";
import { ensureQueue, type QueueType, TransientRefused } from "../../src/amqp/queue.ts";
import { RpcError } from "../../src/errors.ts";
import { freePorts } from "../support/ports.ts";
import { CollectedLog } from "../support/log.ts";
import {
  closeChannel,
  closeConnection,
  type Script,
  type ScriptedBroker,
  send,
  SILENCE,
  startScriptedBroker,
} from "../support/scripted_broker.ts";
import { shortString } from "../support/raw_socket.ts";
import { waitFor } from "../support/wait.ts";

const FOREVER: Session = { ended: new Promise(() => {}) };

/** A connection, and what its owner sees of it. */
class Supervised implements AsyncDisposable {
  readonly supervisor: ConnectionSupervisor;
  readonly changes: ConnectionStateChange[] = [];
  readonly refusals: RpcError[] = [];
  /** Ends the present session. */
  endSession: (reason: Error) => void = () => {};
  sessions = 0;

  constructor(urls: string | string[], options: Partial<SupervisorOptions> = {}) {
    this.supervisor = new ConnectionSupervisor({
      brokers: parseBrokerUrls(urls),
      name: "connection test",
      heartbeatSeconds: 0,
      connectTimeoutMs: 20_000,
      establish: () => {
        this.sessions += 1;
        return Promise.resolve({ ended: new Promise((resolve) => this.endSession = resolve) });
      },
      stateListeners: new Set([(change: ConnectionStateChange) => void this.changes.push(change)]),
      onRefused: (error) => this.refusals.push(error),
      ...options,
    });
  }

  get states(): string[] {
    return this.changes.map(({ state }) => state);
  }

  async reaches(state: string): Promise<void> {
    await waitFor(() => this.supervisor.state === state, { what: `the state ${state}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.supervisor.close();
  }
}

const refusing = (code = 403, text = "ACCESS_REFUSED - no"): Script => ({
  answers: { "connection.start-ok": () => closeConnection(code, text) },
});

/** How often somebody has begun to log in. */
const logins = (broker: ScriptedBroker) => broker.count("connection.start-ok");

/** Every wait is as long as it may be, and so can be counted on. */
function withoutJitter(): Disposable {
  const { random } = Math;
  Math.random = () => 0.999;
  return { [Symbol.dispose]: () => void (Math.random = random) };
}

/** From now on it is so many milliseconds later, until it is disposed of. */
function laterBy(ms: number): Disposable {
  const { now } = performance;
  performance.now = () => now.call(performance) + ms;
  return { [Symbol.dispose]: () => performance.now = now };
}

Deno.test("ConnectionSupervisor: a session that ends on a living connection is set up again, without a change", async () => {
  await using log = await CollectedLog.start();
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  const { connection } = supervised.supervisor;
  supervised.endSession(new Error("the consumer was cancelled"));
  assertEquals(supervised.supervisor.connection, connection);
  await waitFor(() => supervised.sessions === 2, { what: "another session" });
  supervised.endSession(new Error("channel 1 closed: NOT_FOUND - no queue (404)"));
  await waitFor(() => supervised.sessions === 3, { what: "a third session" });
  assertEquals(supervised.states, ["connected"]);
  assertEquals(broker.connections.length, 1);
  assertEquals(log.messages(/./, "warning"), [
    `127.0.0.1:${broker.port}: the consumer was cancelled; setting up again`,
    `127.0.0.1:${broker.port}: NOT_FOUND - no queue (404); setting up again`,
  ]);
});

Deno.test("ConnectionSupervisor: a broker that refuses a transient queue is not lost, nor is that a failure", async () => {
  await using log = await CollectedLog.start();
  let isDeclared = true;
  await using broker = startScriptedBroker({
    answers: {
      "queue.declare"({ channel, args }) {
        const [passive, durable] = [1, 2].map((flag) => args[3 + args[2]!]! & flag);
        if (passive) return isDeclared ? undefined : closeChannel(channel, 404, "NOT_FOUND");
        if (!durable) return closeConnection(541, "INTERNAL_ERROR - transient_nonexcl_queues");
        isDeclared = true;
      },
    },
  });
  let queueType: QueueType = "transient";
  let endSession = (_: Error) => {};
  await using supervised = new Supervised(broker.url, {
    async establish(connection) {
      try {
        await ensureQueue(connection, "queue", queueType);
      } catch (error) {
        if (error instanceof TransientRefused) queueType = "quorum";
        throw error;
      }
      return { ended: new Promise((resolve) => endSession = resolve) };
    },
  });
  isDeclared = false;
  await supervised.supervisor.open(); // Refused at the first connection,
  assertEquals([isDeclared, broker.connections.length], [true, 2]);
  [isDeclared, queueType] = [false, "transient"];
  endSession(new Error("the consumer was cancelled")); // and when it is declared again.
  await waitFor(() => isDeclared, { what: "the queue to be declared again" });
  await waitFor(() => supervised.supervisor.connection, { what: "the session" });
  assertEquals(broker.connections.length, 3);
  assertEquals(supervised.states, ["connected"]);
  assertEquals(log.messages(/lost|can't/, "warning"), []);
});

Deno.test("ConnectionSupervisor: a session that can't be set up again is a reason to reconnect", async () => {
  await using broker = startScriptedBroker();
  let sessions = 0;
  await using supervised = new Supervised(broker.url, {
    establish: () => {
      sessions += 1;
      if (sessions === 2) return Promise.reject(new RpcError("permission_denied", "not any more"));
      return Promise.resolve({ ended: sessions === 1 ? ended.promise : new Promise(() => {}) });
    },
  });
  const ended = Promise.withResolvers<Error>();
  await supervised.supervisor.open();
  ended.resolve(new Error("the consumer was cancelled"));
  await waitFor(() => sessions === 3, { what: "another connection" });
  await supervised.reaches("connected");
  assertEquals(supervised.states, ["connected", "connecting", "connected"]);
  assertEquals(supervised.changes[1]!.reason, "not any more");
  assertEquals(supervised.refusals.map(({ code }) => code), ["permission_denied"]);
  assertEquals(broker.connections.length, 2);
});

Deno.test("ConnectionSupervisor: sessions that end as soon as they are set up are set up ever less often", async () => {
  using _ = withoutJitter();
  await using broker = startScriptedBroker();
  const at: number[] = [];
  await using supervised = new Supervised(broker.url, {
    establish: () => {
      at.push(performance.now());
      return Promise.resolve({ ended: Promise.resolve(new Error("gone")) });
    },
  });
  await supervised.supervisor.open();
  await waitFor(() => at.length === 5, { what: "five sessions" });
  const gaps = at.slice(1).map((ms, i) => ms - at[i]!);
  for (const [i, gap] of gaps.entries()) assert(gap >= 99 * 2 ** i - 5, `${gaps}`);
  assertEquals(broker.connections.length, 1);
});

Deno.test("ConnectionSupervisor: a loss is one change, however often the broker is tried then", async () => {
  await using log = await CollectedLog.start();
  const [port] = freePorts(1);
  const script = { port: port! };
  const first = startScriptedBroker(script);
  await using supervised = new Supervised(first.url);
  await supervised.supervisor.open();
  await first[Symbol.asyncDispose]();
  await waitFor(() => log.messages(/ECONNREFUSED.*trying again/).length >= 3, {
    what: "three attempts",
  });
  assertEquals(supervised.states, ["connected", "connecting"]);
  assertMatch(supervised.supervisor.outage!, /ECONNREFUSED.* \(reconnecting for [\d.]+ s\)$/);
  await using _second = startScriptedBroker(script);
  await supervised.reaches("connected");
  assertEquals(supervised.states, ["connected", "connecting", "connected"]);
  assertEquals(log.messages(/^lost /, "warning").length, 1);
  assertEquals(supervised.refusals, []);
});

Deno.test("ConnectionSupervisor: nobody there at first is one change, after all brokers were tried", async () => {
  const [port, other] = freePorts(2);
  const urls = [port, other].map((port) => `amqp://127.0.0.1:${port}`);
  await using supervised = new Supervised(urls);
  await using log = await CollectedLog.start();
  supervised.supervisor.open();
  await waitFor(() => log.messages(/trying again/).length >= 6, { what: "three rounds" });
  assertEquals(supervised.states, ["connecting"]);
  await using _broker = startScriptedBroker({ port: other! });
  await supervised.supervisor.open();
  assertEquals(supervised.states, ["connecting", "connected"]);
});

Deno.test("ConnectionSupervisor: a broker that fails before another one takes it is no change", async () => {
  const [port] = freePorts(1);
  await using broker = startScriptedBroker();
  await using supervised = new Supervised([`amqp://127.0.0.1:${port}`, broker.url]);
  await supervised.supervisor.open();
  assertEquals(supervised.states, ["connected"]);
});

Deno.test("ConnectionSupervisor: blocked and unblocked are changes, also with a session that is set up again", async () => {
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  const [peer] = broker.connections;
  const blocked = send("connection.blocked", 0, shortString("low on disk"));
  peer!.send(blocked);
  await supervised.reaches("blocked");
  assertMatch(supervised.supervisor.outage!, /takes no messages: low on disk/);
  peer!.send(blocked); // Said twice, it is the same.
  supervised.endSession(new Error("the consumer was cancelled"));
  await waitFor(() => supervised.sessions === 2, { what: "another session" });
  peer!.send(send("connection.unblocked", 0));
  await supervised.reaches("connected");
  assertEquals(supervised.states, ["connected", "blocked", "connected"]);
  assertEquals(supervised.changes[1]!.reason, "low on disk");
  assertEquals(supervised.supervisor.outage, undefined);
});

Deno.test("ConnectionSupervisor.drain: the end of the session is expected; the connection stays until the close", async () => {
  await using log = await CollectedLog.start();
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  const { connection } = supervised.supervisor;
  supervised.supervisor.drain();
  supervised.supervisor.drain();
  supervised.endSession(new Error("the consumer was cancelled"));
  const [peer] = broker.connections;
  peer!.send(send("connection.blocked", 0, shortString("low on disk")));
  peer!.send(send("connection.unblocked", 0));
  let changed = 0;
  connection!.blockedListeners.add(() => changed += 1);
  await waitFor(() => changed === 2, { what: "the alarm" });
  assertEquals(supervised.supervisor.connection, connection);
  assertEquals(supervised.supervisor.state, "draining");
  assertEquals(supervised.sessions, 1);
  await supervised.supervisor.close();
  assertEquals(supervised.states, ["connected", "draining", "closed"]);
  assertEquals(broker.connections.length, 1);
  assertEquals(log.messages(/lost|again|reconnect/), []);
});

Deno.test("ConnectionSupervisor.drain: a broker that is lost meanwhile is not looked for, and the log says so", async () => {
  await using log = await CollectedLog.start();
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  const { connection } = supervised.supervisor;
  supervised.supervisor.drain();
  broker.connections[0]!.send(closeConnection(320, "CONNECTION_FORCED - bye"));
  await connection!.gone;
  await waitFor(() => supervised.supervisor.connection === undefined, { what: "the end" });
  await supervised.supervisor.close();
  assertEquals(broker.connections.length, 1);
  assertEquals(supervised.states, ["connected", "draining", "closed"]);
  assertEquals(log.messages(/./, "warning"), [
    `lost 127.0.0.1:${broker.port} while draining: CONNECTION_FORCED - bye (320)`,
  ]);
});

for (const what of ["accept", "connection.open", "basic.qos"]) {
  Deno.test(`ConnectionSupervisor.drain: before the first success it ends the attempt (${what})`, async () => {
    await using broker = startScriptedBroker({ answers: { [what]: () => SILENCE } });
    await using supervised = new Supervised(broker.url, {
      async establish(connection) {
        await (await connection.openChannel()).qos(1);
        return FOREVER;
      },
    });
    const opening = supervised.supervisor.open();
    await waitFor(() => what === "accept" ? broker.connections.length : broker.count(what), {
      what,
    });
    supervised.supervisor.drain();
    assertEquals((await assertRejects(() => opening, RpcError)).code, "cancelled");
    await supervised.supervisor.close();
    assertEquals(supervised.states, ["draining", "closed"]);
    assertEquals(broker.connections.length, 1);
  });
}

Deno.test("ConnectionSupervisor.close: it can't be opened again", async () => {
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  await supervised.supervisor.close();
  await using unused = new Supervised(broker.url);
  await unused.supervisor.close();
  const error = await assertRejects(() => unused.supervisor.open(), RpcError);
  assertEquals(error.code, "cancelled");
  assertEquals(broker.connections.length, 1);
});

Deno.test("ConnectionSupervisor: a broker that refuses is not the last one tried", async () => {
  await using refuses = startScriptedBroker(refusing());
  await using accepts = startScriptedBroker();
  await using supervised = new Supervised([refuses.url, accepts.url]);
  await supervised.supervisor.open();
  assertEquals([logins(refuses), logins(accepts)], [1, 1]);
  assertEquals(supervised.refusals, []);
});

const inVain: [what: string, scripts: Script[]][] = [
  ["the only broker", [refusing()]],
  ["the first of two that both refuse", [refusing(), refusing(530, "NOT_ALLOWED - vhost")]],
  ["a second, while the first is not to be had", [refusing(320, "CLOSING"), refusing()]],
  ["a first, while the second is not to be had", [refusing(), refusing(541, "BROKEN")]],
];

for (const [what, scripts] of inVain) {
  Deno.test(`ConnectionSupervisor: a refusal is final when each broker was tried once: ${what}`, async () => {
    const brokers = scripts.map(startScriptedBroker);
    await using supervised = new Supervised(brokers.map(({ url }) => url));
    try {
      const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
      assertEquals(error.code, "unauthenticated");
      assertEquals(brokers.map(logins), scripts.map(() => 1));
      assertEquals(supervised.refusals, [error]);
      assertEquals(supervised.states, ["closed"]);
      assertEquals(supervised.changes[0]!.reason, error.message);
    } finally {
      for (const broker of brokers) await broker[Symbol.asyncDispose]();
    }
  });
}

Deno.test("ConnectionSupervisor.open: after a refusal it can be tried again, when the back-off allows it", async () => {
  using _ = withoutJitter();
  let isRefusing = true;
  await using broker = startScriptedBroker({
    answers: {
      "connection.start-ok": () => isRefusing ? closeConnection(403, "NO") : undefined,
    },
  });
  await using supervised = new Supervised(broker.url);
  const { supervisor } = supervised;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const error = await assertRejects(() => supervisor.open(), RpcError);
    assertEquals(supervisor.state, "closed");
    if (i > 0) assert(performance.now() - start >= 99 * 2 ** (i - 1) - 5);
    assertEquals(error.code, "unauthenticated");
  }
  assertEquals(logins(broker), 3);
  isRefusing = false;
  await supervisor.open();
  assertEquals(supervisor.refusal, undefined);
  assertEquals(supervised.states, [
    "closed",
    "connecting",
    "closed",
    "connecting",
    "closed",
    "connecting",
    "connected",
  ]);
});

Deno.test("ConnectionSupervisor.refusal: is there until the back-off is over", async () => {
  using _ = withoutJitter();
  await using broker = startScriptedBroker(refusing());
  let at = 0;
  await using supervised = new Supervised(broker.url, {
    onRefused(error) {
      at = performance.now();
      assertEquals(supervised.supervisor.refusal, error);
    },
  });
  await assertRejects(() => supervised.supervisor.open(), RpcError);
  await waitFor(() => supervised.supervisor.refusal === undefined, { what: "the back-off" });
  assert(performance.now() - at >= 90);
});

Deno.test("ConnectionSupervisor: what refuses it after a success is tried again; the log says it once", async () => {
  await using log = await CollectedLog.start();
  let text = "";
  await using broker = startScriptedBroker({
    answers: { "connection.start-ok": () => text ? closeConnection(403, text) : undefined },
  });
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  text = "ACCESS_REFUSED - rotated";
  broker.connections[0]!.close();
  await waitFor(() => supervised.refusals.length >= 4, { what: "four attempts" });
  assertEquals(supervised.refusals[0]!.code, "unauthenticated");
  assertEquals(log.messages(/rotated/, "error").length, 1);
  assertEquals(log.messages(/rotated/).length, 1);
  {
    using _ = laterBy(60_000); // It is said again each minute.
    await waitFor(() => log.messages(/rotated/, "error").length === 2, { what: "another line" });
  }
  text = "ACCESS_REFUSED - something else";
  await waitFor(() => log.messages(/else/, "error").length === 1, { what: "the other reason" });
  text = "";
  await supervised.reaches("connected");
  assertEquals(supervised.states, ["connected", "connecting", "connected"]);
  assertEquals(supervised.supervisor.refusal, undefined);
});

Deno.test("ConnectionSupervisor: a refusal is forgotten once it has been connected", async () => {
  using _ = withoutJitter();
  let isRefusing = true;
  await using broker = startScriptedBroker({
    answers: {
      "connection.start-ok": () => isRefusing ? closeConnection(403, "NO") : undefined,
    },
  });
  const seen: unknown[] = [];
  await using supervised = new Supervised(broker.url, {
    stateListeners: new Set([({ state }: ConnectionStateChange) => {
      if (state === "connecting") seen.push(supervised.supervisor.refusal);
    }]),
  });
  await assertRejects(() => supervised.supervisor.open(), RpcError);
  isRefusing = false;
  await supervised.supervisor.open();
  seen.length = 0;
  broker.connections.at(-1)!.close();
  await waitFor(() => seen.length === 1, { what: "the loss" });
  assertEquals(seen, [undefined]); // Though the back-off lasts.
});

Deno.test("ConnectionSupervisor: the wait doubles, and starts anew after a success", async () => {
  using _ = withoutJitter();
  const at: number[] = [];
  let accepts = false;
  await using broker = startScriptedBroker({
    answers: {
      accept: (_, connection) => {
        at.push(performance.now());
        if (accepts) return undefined;
        connection.close();
        return SILENCE;
      },
    },
  });
  await using supervised = new Supervised(broker.url);
  const opening = supervised.supervisor.open();
  await waitFor(() => at.length === 6, { what: "six attempts" });
  const gaps = at.slice(1).map((ms, i) => ms - at[i]!);
  for (const [i, gap] of gaps.entries()) assert(gap >= 99 * 2 ** i - 5, `${gaps}`);
  accepts = true;
  await opening;
  const connected = performance.now();
  await waitFor(() => performance.now() - connected > 1_100, { what: "a stable connection" });
  const lostAt = performance.now();
  broker.connections.at(-1)!.close();
  const before = broker.connections.length;
  await waitFor(() => broker.connections.length > before, { what: "another connection" });
  assert(at.at(-1)! - lostAt < 2_500, `${at.at(-1)! - lostAt}`); // It was at 6,400 ms.
});

Deno.test("ConnectionSupervisor: a broker that fails at a message is there: the wait doesn't grow", async () => {
  using _ = withoutJitter();
  await using broker = startScriptedBroker();
  await using supervised = new Supervised(broker.url);
  await supervised.supervisor.open();
  for (let i = 1; i <= 7; i++) {
    broker.connections.at(-1)!.send(closeConnection(541, "INTERNAL_ERROR"));
    const start = performance.now();
    await waitFor(() => supervised.sessions === i + 1, { what: "another session" });
    assert(performance.now() - start < 2_500, `the ${i}th took ${performance.now() - start} ms`);
  }
});

Deno.test("ConnectionSupervisor: a set-up that is not answered is given up in time", async () => {
  await using broker = startScriptedBroker({
    answers: { "basic.qos": ({ connection }) => connection === 0 ? SILENCE : undefined },
  });
  await using supervised = new Supervised(broker.url, {
    connectTimeoutMs: 2_000,
    async establish(connection) {
      await (await connection.openChannel()).qos(1);
      return FOREVER;
    },
  });
  supervised.supervisor.open();
  await supervised.reaches("connected");
  assertEquals(broker.connections.length, 2);
});

Deno.test("ConnectionSupervisor: the time for the first connection includes its set-up, for all brokers", async () => {
  const slow: Script = {
    answers: {
      accept: (_, connection) => {
        const start = send(
          "connection.start",
          0,
          new Uint8Array([0, 9, 0, 0, 0, 0]),
          new Uint8Array([0, 0, 0, 5]),
          new TextEncoder().encode("PLAIN"),
          new Uint8Array(4),
        );
        setTimeout(() => connection.send(start), 1_200);
        return SILENCE;
      },
      "basic.qos": () => SILENCE,
    },
  };
  await using broker = startScriptedBroker(slow);
  const establish: SupervisorOptions["establish"] = async (connection) => {
    await (await connection.openChannel()).qos(1);
    return FOREVER;
  };
  const bounds = { connectTimeoutMs: 2_000, firstConnectWithinMs: 2_000, establish };
  await using supervised = new Supervised(broker.url, bounds);
  const start = performance.now();
  const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
  assertEquals(error.code, "unavailable");
  assert(performance.now() - start < 3_100, `${performance.now() - start} ms`);

  await using silent = startScriptedBroker({ answers: { "basic.qos": () => SILENCE } });
  await using good = startScriptedBroker();
  const both = { ...bounds, connectTimeoutMs: 6_000, firstConnectWithinMs: 6_000 };
  await using second = new Supervised([silent.url, good.url], both);
  await second.supervisor.open();
});

Deno.test("ConnectionSupervisor: what an earlier attempt found out counts for more than that time was short", async () => {
  await using broker = startScriptedBroker({
    answers: {
      accept: (_, connection) => {
        if (connection.index === 0) connection.send(closeConnection(320, "CLOSING"));
        return SILENCE;
      },
    },
  });
  const bounds = { connectTimeoutMs: 2_000, firstConnectWithinMs: 2_000 };
  await using supervised = new Supervised(broker.url, bounds);
  const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
  assertMatch(error.message, /CLOSING/);
  assertEquals(broker.connections.length > 1, true);
});

Deno.test("ConnectionSupervisor: credentials and certificates are asked for before each attempt", async () => {
  let asked = 0;
  await using broker = startScriptedBroker();
  const url = broker.url.replace("amqp://", "amqp://fib@");
  await using supervised = new Supervised(url, {
    credentials: () => ({ username: "not asked for", password: `secret-${++asked}` }),
    tls: () => {
      throw new Error("there is no TLS");
    },
  });
  await supervised.supervisor.open();
  broker.connections[0]!.close();
  await waitFor(() => supervised.sessions === 2, { what: "another session" });
  const sent = broker.received
    .filter(({ name }) => name === "connection.start-ok")
    .map(({ args }) => new TextDecoder().decode(args));
  assertEquals(sent.map((text, i) => text.includes(`\0fib\0secret-${i + 1}`)), [true, true]);
});

Deno.test("ConnectionSupervisor: what the URL holds comes before the credentials; what nobody gives is guest", async () => {
  await using broker = startScriptedBroker();
  const given = { username: "given", password: "secret" };
  const cases: [authority: string, given: typeof given | { password: string }, login: string][] = [
    ["", given, "\0given\0secret"],
    ["own@", given, "\0own\0secret"],
    ["own:pass@", given, "\0own\0pass"],
    [":pass@", given, "\0given\0pass"],
    ["", { password: "secret" }, "\0guest\0secret"],
  ];
  for (const [authority, credentials, login] of cases) {
    const url = broker.url.replace("amqp://", `amqp://${authority}`);
    await using supervised = new Supervised(url, { credentials: () => credentials });
    await supervised.supervisor.open();
    const sent = broker.received.findLast(({ name }) => name === "connection.start-ok")!;
    const text = new TextDecoder().decode(sent.args);
    assert(text.includes(login), `${JSON.stringify(login)} is not in ${JSON.stringify(text)}`);
  }
});

Deno.test("ConnectionSupervisor: no error holds the connection it was refused on", async () => {
  await using broker = startScriptedBroker(refusing());
  await using supervised = new Supervised(broker.url);
  const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
  assertMatch((error.cause as Error).message, /ACCESS_REFUSED/);
  assertEquals("connection" in (error.cause as Error), false);
});

Deno.test("ConnectionSupervisor: the user named in a refusal is the one that logged in", async () => {
  await using broker = startScriptedBroker(refusing());
  await using supervised = new Supervised(broker.url, { credentials: () => ({ username: "me" }) });
  const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
  assertMatch(error.message, /refused user "me"/);
});

Deno.test("ConnectionSupervisor: an RpcError of a provider is final at first; later it fails an attempt", async () => {
  await using broker = startScriptedBroker();
  let broken = true;
  await using supervised = new Supervised(broker.url, {
    credentials() {
      if (broken) throw new RpcError("invalid_argument", "the file is gone");
      return {};
    },
  });
  const error = await assertRejects(() => supervised.supervisor.open(), RpcError);
  assertEquals([error.code, error.message], ["invalid_argument", "the file is gone"]);
  broken = false;
  await supervised.supervisor.open();
  broken = true;
  broker.connections[0]!.close();
  await waitFor(() => supervised.refusals.length >= 2, { what: "an attempt that failed" });
  broken = false;
  await supervised.reaches("connected");
});

Deno.test("ConnectionSupervisor: another error of a provider fails an attempt; so does its silence", async () => {
  await using broker = startScriptedBroker();
  let asked = 0;
  await using supervised = new Supervised(broker.url, {
    connectTimeoutMs: 1_000,
    credentials() {
      asked += 1;
      if (asked === 1) throw new Error("the vault is sealed");
      if (asked === 2) return Promise.reject(new RpcError("unavailable", "the vault is away"));
      if (asked === 3) return new Promise(() => {});
      return {};
    },
  });
  await using log = await CollectedLog.start();
  await supervised.supervisor.open();
  assertEquals(asked, 4);
  const reasons = log.messages(/trying again/);
  assertMatch(reasons[0]!, /can't connect to .*: the vault is sealed; trying again/);
  assertMatch(reasons[1]!, /the vault is away/);
  assertMatch(reasons[2]!, /no credentials within \d+ ms/);
});

Deno.test("ConnectionSupervisor: a listener that throws costs a line in the log, and the others nothing", async () => {
  await using log = await CollectedLog.start();
  await using broker = startScriptedBroker();
  const states: string[] = [];
  const fail = () => {
    throw new Error("mine");
  };
  const stateListeners = new Set([fail, ({ state }: ConnectionStateChange) => states.push(state)]);
  await using supervised = new Supervised(broker.url, { stateListeners });
  await supervised.supervisor.open();
  assertEquals([log.messages(/mine/, "error").length, states], [1, ["connected"]]);
});
