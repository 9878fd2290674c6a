import { assert, assertEquals, assertRejects } from "@std/assert";
import { RPC_ERROR_CODES } from "../../src/errors.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import {
  bytesOf,
  concat,
  entry,
  longString,
  message,
  nested,
  RawSocket,
  u16,
  u32,
  u64,
  u8,
} from "../support/raw_socket.ts";
import { Victim } from "../support/victim.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

const NOT_UTF8 = new Uint8Array([0xff, 0xfe, 0x80]);

/** What a server may need at the most, in mebibytes, whatever it is sent. */
const MAX_MEMORY = 300;

Deno.test("hostile: a request that can't be answered is dropped, its neighbours are answered", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket } = victim;
  const addresses = [
    undefined,
    "",
    queue,
    `${queue}.suspects`,
    uniqueQueue("missing"),
    "x".repeat(255),
    "amq.rabbitmq.reply-to.",
    "amq.gen-missing",
    "amq.fanout",
    " ",
    "\0",
    NOT_UTF8,
  ];
  for (const replyTo of addresses) {
    await victim.between(() =>
      socket.publish(queue, "30", { correlationId: "x", ...(replyTo !== undefined && { replyTo }) })
    );
  }
  assert(!/lost/.test(victim.server.stderr), victim.server.stderr);
  const lines = victim.server.stderr.match(/there is no queue missing-.* for a reply/g);
  assertEquals(lines?.length, 1, victim.server.stderr); // Not one for each.
  await victim.assertUnharmed(MAX_MEMORY);
  assertEquals(victim.replies("x"), []);
});

Deno.test("hostile: made-up direct reply addresses, which crash the broker's channel", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket } = victim;
  const addresses = [
    "garbage",
    "garbage.garbage",
    "g1hkABByYWJiaXRAbG9jYWxob3N0AAAB9AAAAABfJ0qe.xxxxxxxxxxxxxxxxxxxxxx==",
    ".",
    "..",
    "x".repeat(230),
    NOT_UTF8,
  ];
  for (const address of addresses) {
    const replyTo = concat(bytesOf("amq.rabbitmq.reply-to."), bytesOf(address));
    await victim.between(() => socket.publish(queue, "30", { correlationId: "x", replyTo }));
  }
  assert(!/lost/.test(victim.server.stderr), victim.server.stderr);
  await victim.assertUnharmed(MAX_MEMORY);
  assertEquals(victim.replies("x"), []);
});

Deno.test("hostile: any correlation id is echoed", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket, peer: { replyTo } } = victim;
  const ids = ["\0", "x".repeat(255), "ü".repeat(127), "\u{1F600}", "__proto__"];
  for (const correlationId of ids) {
    await victim.between(() => socket.publish(queue, "10", { correlationId, replyTo }));
    assertEquals((await victim.reply(correlationId)).bodyToString(), "55");
  }
  await victim.between(() => socket.publish(queue, "11", { replyTo }));
  // AMQP tells an empty one from none; the library doesn't write the former.
  await victim.between(() => socket.publish(queue, "12", { correlationId: "", replyTo }));
  await waitFor(() => victim.peer.replies.some((reply) => reply.bodyToString() === "144"), {
    what: "the reply with an empty correlation id",
  });
  await waitFor(() => victim.peer.replies.some((reply) => reply.bodyToString() === "89"), {
    what: "the reply without correlation id",
  });
  const idsWith = (body: string) =>
    victim.peer.replies.filter((reply) => reply.bodyToString() === body)
      .map(({ properties }) => properties.correlationId);
  assertEquals(idsWith("89"), [undefined]);
  assertEquals(idsWith("144"), [""]);
  await victim.assertUnharmed(MAX_MEMORY);
  assertEquals(victim.peer.replies.filter((r) => r.bodyToString() === "55").length, ids.length);
});

/** Values of every type that RabbitMQ knows, those that the client library doesn't among them. */
const HEADERS = {
  t: u8(2),
  b: u8(0xff),
  B: u8(0xff),
  s: u16(0xffff),
  u: u16(0xffff),
  I: u32(0xffffffff),
  i: u32(0xffffffff),
  l: u64(2n ** 64n - 1n),
  L: u64(2n ** 64n - 1n),
  f: u32(0x7f7fffff),
  d: u64(1n),
  D: concat(u8(255), u32(5)),
  S: longString(NOT_UTF8),
  x: longString(NOT_UTF8),
  A: longString(concat(bytesOf("A"), u32(0))),
  F: longString(entry("", "V", u8(0).subarray(1))),
  T: u64(2n ** 64n - 1n),
  V: u8(0).subarray(1),
};

Deno.test("hostile: headers of every type, nested 10,000 deep, and of 100 KB", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket, peer: { replyTo } } = victim;
  const tables = new Map(
    Object.entries(HEADERS).map(([type, value]) => [
      `type ${type}`,
      entry(`h-${type}`, type, value),
    ]),
  );
  tables.set("arrays", entry("deep", "A", nested("A", 10_000)));
  tables.set("tables", entry("deep", "F", nested("F", 10_000)));
  tables.set("100 KB", entry("big", "S", longString("x".repeat(100_000))));
  tables.set(
    "10,000 keys",
    concat(...Array.from({ length: 10_000 }, (_, i) => entry(`${i}`, "t", u8(1)))),
  );
  tables.set("one key", concat(...Array.from({ length: 10_000 }, () => entry("k", "t", u8(1)))));
  tables.set("__proto__", entry("__proto__", "F", longString(entry("x", "t", u8(1)))));
  tables.set("attempts", entry("x-fibrpc-attempts", "l", u64(1_000_000n)));
  for (const [correlationId, headers] of tables) {
    await victim.between(() => socket.publish(queue, "30", { correlationId, replyTo, headers }));
    assertEquals((await victim.reply(correlationId)).bodyToString(), "832040", correlationId);
  }
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test("hostile: header tables that the broker refuses reach no server", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, peer: { replyTo } } = victim;
  const tables = {
    "1 MB, more than a frame holds": entry("big", "S", longString("x".repeat(1_000_000))),
    "a type that nobody knows": entry("k", "q", u8(0)),
    "cut off": u8(5),
    "not a number": entry("k", "f", u32(0x7fc00000)),
  };
  for (const [correlationId, headers] of Object.entries(tables)) {
    await using socket = await RawSocket.open(broker.url);
    await assertRejects(async () => {
      await socket.publish(queue, "30", { correlationId, replyTo, headers });
      await socket.sync();
    }, Error);
  }
  await victim.assertUnharmed(MAX_MEMORY);
  assertEquals(Object.keys(tables).flatMap((id) => victim.replies(id)), []);
});

Deno.test("hostile: bodies that are no number are refused, of whatever size and encoding", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket, peer: { replyTo } } = victim;
  const LARGE = 15_000_000; // RabbitMQ 4 lets 16 MiB through.
  const utf16 = new Uint8Array([0xff, 0xfe, 0x33, 0, 0x30, 0]);
  const bodies: Record<string, [string | Uint8Array<ArrayBuffer>, string]> = {
    "UTF-16": [utf16, "invalid_argument"],
    "UTF-16 without mark": [utf16.slice(2), "invalid_argument"],
    "nothing": ["", "invalid_argument"],
    "zero bytes": [new Uint8Array(LARGE), "invalid_argument"],
    "not UTF-8": [new Uint8Array(LARGE).fill(0xff), "invalid_argument"],
    "digits": ["9".repeat(LARGE), "out_of_range"],
    "spaces": [" ".repeat(LARGE), "invalid_argument"],
    "minus": ["-1", "invalid_argument"],
    "JSON": ['{"n":30}', "invalid_argument"],
    "frames": [message(queue, "30", { replyTo }), "invalid_argument"],
  };
  for (const [correlationId, [body, code]] of Object.entries(bodies)) {
    await victim.between(() => socket.publish(queue, body, { correlationId, replyTo }));
    const reply = await victim.reply(correlationId);
    assertEquals(reply.properties.headers?.["x-error-code"], code, correlationId);
    assert(reply.bodySize < 1_000, correlationId);
  }
  const zeros = `${"0".repeat(LARGE)}30`;
  await victim.between(() => socket.publish(queue, zeros, { correlationId: "zeros", replyTo }));
  assertEquals((await victim.reply("zeros")).bodyToString(), "832040");
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test("hostile: a body of 50 MB is refused, by the broker or by the server", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, peer: { replyTo } } = victim;
  const before = await victim.neighbour();
  await using socket = await RawSocket.open(broker.url);
  const [refused] = await Promise.allSettled([(async () => {
    await socket.publish(queue, "9".repeat(50_000_000), { correlationId: "50 MB", replyTo });
    await socket.sync();
  })()]);
  const after = await victim.neighbour();
  await before();
  await after();
  if (refused.status === "fulfilled") {
    const reply = await victim.reply("50 MB");
    assertEquals(reply.properties.headers?.["x-error-code"], "out_of_range");
  }
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test("hostile: odd but possible properties don't keep a request from its answer", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket, peer: { replyTo } } = victim;
  const odd = {
    text: { contentType: "application/json", contentEncoding: "gzip", type: "error" },
    binary: { contentType: NOT_UTF8, messageId: NOT_UTF8, appId: NOT_UTF8, clusterId: NOT_UTF8 },
    "frames in the last property": { clusterId: message("q", "30") },
    numbers: { deliveryMode: 2, priority: 255, timestamp: 2n ** 64n - 1n },
    expiration: { expiration: "4294967295", userId: "guest" },
  };
  for (const [correlationId, properties] of Object.entries(odd)) {
    await victim.between(() =>
      socket.publish(queue, "30", { ...properties, correlationId, replyTo })
    );
    assertEquals((await victim.reply(correlationId)).bodyToString(), "832040");
  }
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test("hostile: 30,000 requests at once are all answered, in bounded memory", async () => {
  await using victim = await Victim.start(broker.url);
  const { queue, socket, peer } = victim;
  const BATCH = 1_000;
  const BATCHES = 30;
  for (let batch = 0; batch < BATCHES; batch++) {
    const requests = Array.from({ length: BATCH }, (_, i) => {
      const id = String(batch * BATCH + i);
      // One in a hundred can't be answered with a number.
      const body = i % 100 === 0 ? "x" : String(i % 90);
      return message(queue, body, { correlationId: id, replyTo: peer.replyTo });
    });
    await socket.write(concat(...requests));
  }
  await waitFor(() => peer.replies.length >= BATCH * BATCHES, {
    what: "all replies",
    timeoutMs: 120_000,
  });
  const seen = new Set<string>();
  for (const { properties, bodySize } of peer.replies) {
    const id = Number(properties.correlationId);
    seen.add(properties.correlationId!);
    const code = properties.headers?.["x-error-code"] as string | undefined;
    if (id % 100 === 0) assertEquals(code, RPC_ERROR_CODES[0]);
    else assert(code === undefined && bodySize! < 20);
  }
  assertEquals(seen.size, BATCH * BATCHES);
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test("hostile: --allow-reply-to keeps replies out of other queues", async () => {
  const prefix = uniqueQueue("allowed");
  await using victim = await Victim.start(
    broker.url,
    "--allow-reply-to",
    `${prefix}.*`,
    "amq.gen-*",
  );
  const { queue, socket, peer } = victim;
  const [allowed, other] = [`${prefix}.replies`, uniqueQueue("other")];
  for (const name of [allowed, other]) await peer.declare(name);
  for (
    const replyTo of [allowed, other, `x${prefix}.replies`, prefix, "amq.rabbitmq.reply-to.x.y"]
  ) {
    await victim.between(() => socket.publish(queue, "30", { correlationId: "x", replyTo }));
  }
  await victim.assertUnharmed(MAX_MEMORY);
  assertEquals((await peer.look(allowed)).messages, 1);
  assertEquals((await peer.look(other)).messages, 0);
  for (const name of [allowed, other]) await peer.channel.queueDelete(name);
});
