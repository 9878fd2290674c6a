import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { BrokerUrl } from "../../src/amqp/broker_url.ts";
import { connectFailure } from "../../src/amqp/failure.ts";
import { Connection, type ConnectionOptions } from "../../src/amqp/connection.ts";
import { RpcError } from "../../src/errors.ts";
import { FibonacciClient } from "../../src/services/fibonacci/client.ts";
import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { sharedBroker, startBroker } from "../support/broker.ts";
import { CollectedLog } from "../support/log.ts";
import { waitFor } from "../support/wait.ts";
import { concat, u16, u32, u8 } from "../support/raw_socket.ts";
import {
  type Answer,
  closeConnection,
  send,
  shortStringAt,
  startScriptedBroker,
} from "../support/scripted_broker.ts";

const broker = await sharedBroker();

const never = new AbortController().signal;

/** Connects, and closes. */
async function connect(url: string, options: Partial<ConnectionOptions> = {}): Promise<void> {
  const all = { name: "n", heartbeatSeconds: 15, ...options };
  const connection = await Connection.open(new BrokerUrl(url), all, 10_000, never);
  await connection.close();
}

/** Why it can't connect. */
const failure = async (url: string, options: Partial<ConnectionOptions> = {}) =>
  connectFailure(new BrokerUrl(url), await assertRejects(() => connect(url, options), Error));

const agreed: [what: string, theirs: number, ours: number, result: number][] = [
  ["the lower of both", 30, 15, 15],
  ["the lower of both", 10, 15, 10],
  ["ours, where the broker proposes none", 0, 15, 15],
  ["none, where we want none", 30, 0, 0],
  ["none, where nobody wants any", 0, 0, 0],
];

for (const [what, theirs, ours, result] of agreed) {
  Deno.test(`handshake: the heartbeat is ${what} (${theirs} and ${ours})`, async () => {
    await using scripted = startScriptedBroker({ heartbeatSeconds: theirs });
    await connect(scripted.url, { heartbeatSeconds: ours });
    const [tuneOk] = scripted.received.filter(({ name }) => name === "connection.tune-ok");
    assertEquals(tuneOk!.args.subarray(6), u16(result));
  });
}

Deno.test("handshake: a broker's heartbeat of 0 does not hide that it is gone", async () => {
  await using scripted = startScriptedBroker({ heartbeatSeconds: 0 });
  const options = { name: "n", heartbeatSeconds: 1 };
  const connection = await Connection.open(new BrokerUrl(scripted.url), options, 10_000, never);
  assertMatch((await connection.gone).message, /heartbeats missed/);
});

Deno.test("handshake: the URL's heartbeat comes before the option, wherever a connection is made", async () => {
  await using scripted = startScriptedBroker({ heartbeatSeconds: 60 });
  await connect(`${scripted.url}?heartbeat=7`, { heartbeatSeconds: 15 });
  await connect(`${scripted.url}?heartbeat=0`, { heartbeatSeconds: 15 });
  const tuned = scripted.received.filter(({ name }) => name === "connection.tune-ok");
  assertEquals(tuned.map(({ args }) => args.at(-1)), [7, 0]);
});

Deno.test("handshake: a broker without PLAIN is refused, with what it offers", async () => {
  for (const mechanisms of ["EXTERNAL", "AMQPLAIN RABBIT-CR-DEMO PLAINTEXT", ""]) {
    await using scripted = startScriptedBroker({ mechanisms });
    const { error, final } = await failure(scripted.url);
    assertEquals([error.code, final], ["unauthenticated", true]);
    assertMatch(error.message, /without PLAIN/);
    assert(error.message.includes(`"${mechanisms}"`), error.message);
    assertEquals(scripted.received, []); // Not even the user name.
  }
});

Deno.test("handshake: a login that fits into a frame is sent, a longer one is refused here", async () => {
  const credentials = (length: number) => () => ({
    username: "user",
    password: "é" + "p".repeat(length - 2),
  });
  const tooLong = await failure(broker.url.replace("guest:guest@", ""), {
    credentials: credentials(7_900),
  });
  assertEquals([tooLong.error.code, tooLong.final], ["invalid_argument", true]);
  const [, room] = /password 7900: together they are over AMQP's limit of (\d+)$/
    .exec(tooLong.message)!;
  const longest = Number(room) - "user".length;
  await using scripted = startScriptedBroker();
  assertMatch(
    (await failure(scripted.url, { credentials: credentials(longest + 1) })).message,
    /together they are over/,
  );
  assertEquals(scripted.received, []);
  await connect(scripted.url, { credentials: credentials(longest) });
  const { args } = scripted.received[0]!;
  const FRAME_AND_METHOD = 12;
  assertEquals(args.length + FRAME_AND_METHOD, 4_096);
  // A real broker reads the whole of it.
  const refused = await failure(broker.url.replace("guest:guest@", ""), {
    credentials: credentials(longest),
  });
  assertEquals(refused.error.code, "unauthenticated");
  assertMatch(refused.message, /refused user "user"/);
});

Deno.test("handshake: the broker learns the connection's name", async () => {
  await using scripted = startScriptedBroker();
  await connect(scripted.url, { name: "a name of its own" });
  const text = new TextDecoder().decode(scripted.received[0]!.args);
  assertMatch(text, /connection_nameS....a name of its own/s);
});

Deno.test("handshake: a vhost may have 255 bytes", async () => {
  await using scripted = startScriptedBroker();
  const vhost = `é${"v".repeat(253)}`;
  await connect(`${scripted.url}/${encodeURIComponent(vhost)}`);
  const [open] = scripted.received.filter(({ name }) => name === "connection.open");
  assertEquals(shortStringAt(open!.args, 0), vhost);
  const { error, final } = await failure(`${scripted.url}/${encodeURIComponent(`${vhost}v`)}`);
  assertEquals([error.code, final], ["invalid_argument", true]);
  assertMatch(error.message, /vhost has 256 bytes.*limit of 255/);
});

Deno.test("handshake: what doesn't fit is refused when a client is made", () => {
  for (const path of [`/${"v".repeat(256)}`, `:${"p".repeat(4_000)}@127.0.0.1`]) {
    const url = path.startsWith("/") ? `amqp://127.0.0.1${path}` : `amqp://u${path}`;
    const error = assertThrows(() => new FibonacciClient({ url }), RpcError);
    assertEquals(error.code, "invalid_argument");
    assert(!error.message.includes("pppp"), error.message);
  }
});

const MALFORMED: Record<string, Answer> = {
  "a start without its mechanisms": () => send("connection.start", 0, u8(0), u8(9), u32(0)),
  "a start whose properties end nowhere": () =>
    send("connection.start", 0, concat(u8(0), u8(9), u32(1_000))),
};

for (const [what, accept] of Object.entries(MALFORMED)) {
  Deno.test(`handshake: ${what} is not AMQP`, async () => {
    await using scripted = startScriptedBroker({ answers: { accept } });
    const { error, final } = await failure(scripted.url);
    assertEquals([error.code, final], ["unavailable", false]);
    assertMatch(error.message, /not AMQP/);
  });
}

const LIMITS = [
  "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached",
  "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached",
  "NOT_ALLOWED - connection refused: node connection limit (1) is reached",
  "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed user limit of (1)",
];

for (const text of LIMITS) {
  Deno.test(`handshake: a limit that is reached passes: ${text}`, async () => {
    const answers = { "connection.open": () => closeConnection(530, text) };
    await using scripted = startScriptedBroker({ answers });
    const { error, final } = await failure(scripted.url);
    assertEquals([error.code, final], ["unavailable", false]);
    assert(error.message.includes(text), error.message);
  });
}

Deno.test("handshake: a vhost that is not there is no limit, whatever its name", async () => {
  const text = "NOT_ALLOWED - vhost limit (1) is reached not found";
  const answers = { "connection.open": () => closeConnection(530, text) };
  await using scripted = startScriptedBroker({ answers });
  const { error, final } = await failure(scripted.url);
  assertEquals([error.code, final], ["permission_denied", true]);
});

Deno.test("handshake: a second server at a user's limit waits until there is room", async () => {
  await using limited = await startBroker({ management: true, config: "heartbeat = 0" });
  const { management } = limited;
  await management.request("PUT", "users/few", { password: "few", tags: "" });
  const all = { configure: ".*", write: ".*", read: ".*" };
  await management.request("PUT", "permissions/%2F/few", all);
  const url = limited.url.replace("guest:guest@", "few:few@");
  await using log = await CollectedLog.start();
  await using first = new FibonacciServer({ url });
  await first.start();
  // This broker proposes no heartbeat, and keeps the one that it is told.
  const agreed = await waitFor(
    async () => (await limited.connections())[0]?.heartbeatSeconds,
    { what: "the connection" },
  );
  assertEquals(agreed, 15);
  for (
    const [path, value, says] of [
      ["user-limits/few/max-connections", 1, /user connection limit \(1\)/],
      ["vhost-limits/%2F/max-connections", 1, /connection limit \(1\)/],
    ] as const
  ) {
    await management.request("PUT", path, { value });
    await using client = new FibonacciClient({ url, connectTimeoutMs: 2_000 });
    const error = await assertRejects(() => client.connect(), RpcError);
    assertEquals(error.code, "unavailable");
    assertMatch(error.message, says);
    const before = log.messages(says, "warning").length;
    await using second = new FibonacciServer({ url });
    const started = second.start();
    await waitFor(() => log.messages(says, "warning").length > before, { what: "an attempt" });
    await management.request("DELETE", path);
    await started;
  }
});
