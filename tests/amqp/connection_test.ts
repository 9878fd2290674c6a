import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import { connectFailure } from "../../src/amqp/failure.ts";
import { Connection, type ConnectionOptions } from "../../src/amqp/connection.ts";
import { sharedBroker } from "../support/broker.ts";
import { startProxy } from "../support/proxy.ts";
import { type Bytes, frame, shortString } from "../support/raw_socket.ts";
import {
  closeConnection,
  type Received,
  type Script,
  type ScriptedBroker,
  type ScriptedConnection,
  send,
  SILENCE,
  startScriptedBroker,
} from "../support/scripted_broker.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

const never = new AbortController().signal;
const TIMEOUT_MS = 20_000;

async function open(
  url: string,
  options: Partial<ConnectionOptions> = {},
  timeoutMs = TIMEOUT_MS,
): Promise<Connection & AsyncDisposable> {
  const all = { name: "connection test", heartbeatSeconds: 0, ...options };
  const connection = await Connection.open(new BrokerUrl(url), all, timeoutMs, never);
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
}

/** Two brokers, or what takes their places, at the two addresses of `localhost`. */
async function atLocalhost(
  first: Script,
  second: Script,
  test: (url: string, first: ScriptedBroker, second: ScriptedBroker) => Promise<void>,
): Promise<void> {
  await using one = startScriptedBroker({ ...first, hostname: "127.0.0.1" });
  await using other = startScriptedBroker({ ...second, hostname: "::1", port: one.port });
  await test(`amqp://localhost:${one.port}`, one, other);
}

const refusal = (code: number, text: string): Script => ({
  answers: { "connection.open": () => closeConnection(code, text) },
});

for (const code of [530, 403, 320, 541]) {
  Deno.test(`Connection.open: a host's second address is tried when the first refuses with ${code}`, () =>
    atLocalhost(refusal(code, "NO"), {}, async (url, first, second) => {
      await using connection = await open(url);
      assertEquals(connection.closed, false);
      assertEquals([first.connections.length, second.connections.length], [1, 1]);
    }));
}

Deno.test("Connection.open: an address that never answers leaves time for the next one", () =>
  atLocalhost({ answers: { accept: () => SILENCE } }, {}, async (url, first, second) => {
    await using connection = await open(url, {}, 2_000);
    assertEquals(connection.closed, false);
    assertEquals([first.connections.length, second.connections.length], [1, 1]);
  }));

const worth: [what: string, first: Script, second: Script, says: RegExp, final: boolean][] = [
  ["a final refusal", refusal(320, "CLOSING"), refusal(403, "NO"), /NO \(403\)/, true],
  ["the first final refusal", refusal(403, "NO"), refusal(530, "NOT"), /NO \(403\)/, true],
  ["what a broker said", { answers: { accept: hangUp } }, refusal(541, "BROKEN"), /BROKEN/, false],
  ["the first failure", refusal(320, "ONE"), refusal(541, "TWO"), /ONE/, false],
];

function hangUp(_: Received, connection: ScriptedConnection): Bytes {
  connection.close();
  return SILENCE;
}

for (const [what, first, second, says, final] of worth) {
  Deno.test(`Connection.open: of a host's addresses, ${what} is reported`, () =>
    atLocalhost(first, second, async (url) => {
      const thrown = await assertRejects(() => open(url), Error);
      const failure = connectFailure(new BrokerUrl(url), thrown);
      assertMatch(failure.message, says);
      assertEquals(failure.final, final);
    }));
}

Deno.test("Connection.open: an address that doesn't answer leaves time for the next", () =>
  atLocalhost({ answers: { accept: () => SILENCE } }, {}, async (url, first) => {
    await using connection = await open(url, {}, 4_000);
    assertEquals(connection.closed, false);
    assertEquals(first.connections.length, 1);
  }));

Deno.test("Connection.open: gives up when it is told to, and leaves nothing behind", async () => {
  await using scripted = startScriptedBroker({ answers: { accept: () => SILENCE } });
  const giveUp = new AbortController();
  const options = { name: "n", heartbeatSeconds: 0 };
  const opening = Connection.open(
    new BrokerUrl(scripted.url),
    options,
    TIMEOUT_MS,
    giveUp.signal,
  );
  await waitFor(() => scripted.connections.length === 1, { what: "the attempt" });
  giveUp.abort(new Error("enough"));
  await assertRejects(() => opening, Error);
  await waitFor(() => scripted.connections[0]!.ended, { what: "its end" });
});

Deno.test("Connection: heartbeats are sent when nothing else is, and not as answers", async () => {
  await using scripted = startScriptedBroker({ heartbeatSeconds: 1 });
  await using _transport = await open(scripted.url, { heartbeatSeconds: 1 });
  const heartbeat = frame(8, 0, new Uint8Array());
  const start = performance.now();
  let sent = 0;
  await waitFor(() => {
    for (let i = 0; i < 10; i++) scripted.connections[0]!.send(heartbeat);
    sent += 10;
    return scripted.count("heartbeat") >= 3;
  }, { what: "heartbeats of its own" });
  const most = (performance.now() - start) / 500 + 1; // Twice in an interval.
  assert(sent > 100, `only ${sent} were sent to it`);
  assert(scripted.count("heartbeat") <= most, `${scripted.count("heartbeat")} for ${sent}`);
});

Deno.test("Connection: a broker's own watch is content with an idle end", async () => {
  await using connection = await open(broker.url, { heartbeatSeconds: 1 });
  const gone = await Promise.race([
    connection.gone,
    new Promise((resolve) => setTimeout(resolve, 4_000)), // RabbitMQ gives up after 2 to 3 s.
  ]);
  assertEquals(gone, undefined);
});

Deno.test("Connection: a silent peer is gone after two intervals, and no later than a third", async () => {
  await using proxy = await startProxy(Number(new URL(broker.url).port || 5672));
  await using connection = await open(proxy.url(broker.url), { heartbeatSeconds: 2 });
  proxy.blackhole();
  const silentSince = connection.receivedAt;
  const reason = await connection.gone;
  const afterMs = performance.now() - silentSince;
  assertMatch(reason.message, /heartbeats missed: nothing came for 4 s/);
  assert(afterMs >= 4_000, `after ${afterMs} ms`);
  assert(afterMs < 10_000, `after ${afterMs} ms`); // Ten intervals are twenty seconds.
});

const ends: [what: string, end: (scripted: ScriptedBroker) => void, reason: RegExp][] = [
  [
    "closed by the broker",
    ({ connections: [peer] }) => peer!.send(closeConnection(320, "CONNECTION_FORCED - bye")),
    /CONNECTION_FORCED - bye/,
  ],
  ["cut", ({ connections: [peer] }) => peer!.close(), /connection was closed|reset/i],
  [
    "fed with what is not AMQP",
    ({ connections: [peer] }) =>
      peer!.send(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")),
    /not AMQP/,
  ],
];

for (const [what, end, reason] of ends) {
  Deno.test(`Connection: gone says why: ${what}`, async () => {
    await using scripted = startScriptedBroker();
    await using connection = await open(scripted.url);
    end(scripted);
    assertMatch((await connection.gone).message, reason);
    assertEquals(connection.closed, true);
  });
}

Deno.test("Connection.close: a broker that doesn't answer is left after two seconds", async () => {
  await using scripted = startScriptedBroker({
    answers: { "connection.close": () => SILENCE },
  });
  const connection = await open(scripted.url);
  const start = performance.now();
  let closed = false;
  connection.close().then(() => closed = true);
  await waitFor(() => closed, { what: "the end", timeoutMs: 15_000 });
  assert(performance.now() - start >= 1_900);
  await waitFor(() => scripted.connections[0]!.ended, { what: "its end" });
});

Deno.test("Connection.close: what was acknowledged leaves before the close", async () => {
  await using scripted = startScriptedBroker();
  const connection = await open(scripted.url);
  const channel = await connection.openChannel();
  channel.ack(7);
  await connection.close();
  const names = scripted.received.map(({ name }) => name);
  assert(names.indexOf("basic.ack") < names.indexOf("connection.close"), String(names));
  assert(names.includes("basic.ack"), String(names));
});

Deno.test("Connection: a frame that is larger than was agreed on ends the connection", async () => {
  await using scripted = startScriptedBroker();
  await using connection = await open(scripted.url);
  const FRAME_MAX = 131_072;
  const largest = frame(3, 9, new Uint8Array(FRAME_MAX - 8)); // On a channel that nobody has opened.
  scripted.connections[0]!.send(largest);
  const channel = await connection.openChannel();
  await channel.qos(1);
  scripted.connections[0]!.send(frame(3, 9, new Uint8Array(FRAME_MAX - 7)));
  assertMatch((await connection.gone).message, /not AMQP/);
});

Deno.test("Connection.open: a port that cuts the connection may want TLS", async () => {
  await using scripted = startScriptedBroker({ answers: { accept: hangUp } });
  const error = await assertRejects(() => open(scripted.url), Error);
  assertMatch(error.message, /does this port want TLS\? .*amqps:/);
});

Deno.test("Connection.blockedListeners: all are called at each change", async () => {
  await using scripted = startScriptedBroker();
  await using connection = await open(scripted.url);
  const seen: string[] = [];
  for (const name of ["one", "other"]) {
    connection.blockedListeners.add(() => seen.push(`${name} ${connection.blocked}`));
  }
  const [peer] = scripted.connections;
  peer!.send(send("connection.blocked", 0, shortString("low on disk")));
  peer!.send(send("connection.unblocked", 0));
  await waitFor(() => seen.length === 4, { what: "both changes" });
  assertEquals(seen, [
    "one low on disk",
    "other low on disk",
    "one undefined",
    "other undefined",
  ]);
});

Deno.test("Connection: a broker that takes nothing because of an alarm is waited for", async () => {
  await using scripted = startScriptedBroker();
  await using connection = await open(scripted.url);
  const [peer] = scripted.connections;
  peer!.stopReading();
  peer!.send(send("connection.blocked", 0, shortString("low on disk")));
  await waitFor(() => connection.blocked, { what: "the alarm" });
  const heartbeat = frame(8, 0, new Uint8Array());
  await connection.send(new Uint8Array(80 * 1024 * 1024));
  const until = performance.now() + 5_500;
  await waitFor(() => {
    connection.send(heartbeat);
    return performance.now() > until;
  }, { what: "more time than it would have without an alarm" });
  assertEquals(connection.closed, false);
  connection.destroy(new Error("enough"));
});

Deno.test("Connection: a broker that takes nothing is given up before the memory is full", async () => {
  await using scripted = startScriptedBroker({
    answers: { "channel.open": (_, connection) => (connection.stopReading(), undefined) },
  });
  await using connection = await open(scripted.url);
  const channel = await connection.openChannel();
  const body = new Uint8Array(4 * 1024 * 1024);
  let written = 0;
  let reason: Error | undefined;
  connection.gone.then((error) => reason = error);
  await waitFor(() => {
    if (!channel.isClosed) channel.publish("queue", written < 80 ? body : "1", {});
    written += 4;
    return reason;
  }, { what: "the end", timeoutMs: 60_000 });
  assertMatch(reason!.message, /takes nothing: \d+ bytes wait/);
});
