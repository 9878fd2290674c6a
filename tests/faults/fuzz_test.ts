import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { RPC_ERROR_CODES, RpcError } from "../../src/errors.ts";
import { FibonacciClient } from "../../src/services/fibonacci/client.ts";
import { fibonacci } from "../../src/services/fibonacci/service.ts";
import { fibonacciDecimal } from "../../src/services/fibonacci/math/decimal.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { Random, seedOf } from "../support/random.ts";
import { randomBody, randomProperties, randomText } from "../support/random_message.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { message, RawSocket, type Text } from "../support/raw_socket.ts";
import { Victim } from "../support/victim.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();
const seed = seedOf();

/** What a server may need at the most, in mebibytes: fresh from its start it needs 60. */
const MAX_MEMORY = 300;

const MESSAGES = 10_000;

/** One in so many is a good request. */
const GOOD = 20;

/** One in so many has an address that costs a server its connection. */
const CRASHING = 1_000;

Deno.test(`fuzz: ${MESSAGES} random messages harm no server (FIBRPC_TEST_SEED=${seed})`, async () => {
  const random = new Random(seed);
  await using victim = await Victim.start(broker.url, "--max-n", "100000");
  const { queue, socket, peer } = victim;
  const addresses: readonly Text[] = [
    peer.replyTo,
    peer.replyTo,
    peer.replyTo,
    "",
    queue,
    `${queue}.suspects`,
    uniqueQueue("missing"),
    "x".repeat(255),
    "amq.fanout",
    "amq.gen-missing",
  ];
  const replyTo = (): Text | undefined => {
    if (random.oneIn(CRASHING)) {
      return `amq.rabbitmq.reply-to.${random.pick(["x.y", "g1hkAA.x", "=", "x".repeat(230)])}`;
    }
    if (random.oneIn(10)) return random.oneIn(2) ? undefined : randomText(random);
    return random.pick(addresses);
  };
  const good = new Map<string, number>();
  for (let i = 0; i < MESSAGES; i++) {
    const properties = randomProperties(random);
    if (random.oneIn(GOOD)) {
      const id = `good ${i}`;
      const n = random.below(1_000);
      good.set(id, n);
      const { expiration: _, ...others } = properties;
      const request = { ...others, correlationId: id, replyTo: peer.replyTo };
      await socket.write(message(queue, String(n), request));
      continue;
    }
    const address = replyTo();
    if (address !== undefined) properties.replyTo = address;
    if (!random.oneIn(4)) properties.correlationId = randomText(random);
    await socket.write(message(queue, randomBody(random), properties));
    if (i % 100 === 0) await socket.sync();
  }
  await socket.sync();
  const answers = () => peer.replies.filter((reply) => good.has(reply.properties.correlationId!));
  await waitFor(() => new Set(answers().map((r) => r.properties.correlationId)).size >= good.size, {
    what: `${good.size} answers`,
    timeoutMs: 60_000,
    intervalMs: 200,
  });
  for (const answer of answers()) {
    const n = good.get(answer.properties.correlationId!)!;
    assertEquals(answer.bodyToString(), new TextDecoder().decode(asBytes(fibonacciDecimal(n))));
  }
  for (const { properties } of peer.replies) {
    const code = properties.headers?.["x-error-code"];
    assert(code === undefined || (RPC_ERROR_CODES as readonly unknown[]).includes(code));
  }
  await victim.assertUnharmed(MAX_MEMORY);
});

Deno.test(`fuzz: random replies end a call with a number or an RpcError (FIBRPC_TEST_SEED=${seed})`, async () => {
  const random = new Random(seed);
  await using peer = await RawChannel.open(broker.url);
  await using socket = await RawSocket.open(broker.url);
  const queue = uniqueQueue("fuzz");
  await peer.declare(queue);
  await peer.channel.basicConsume(queue, { noAck: true }, ({ properties }) => {
    const { correlationId, replyTo } = properties;
    const { expiration: _, ...others } = randomProperties(random);
    const garbage = { ...others, replyTo: randomText(random), correlationId: randomText(random) };
    const reply = { ...others, correlationId: correlationId! };
    const both = [
      message(replyTo!, randomBody(random), garbage),
      message(replyTo!, randomBody(random), reply),
    ];
    return Promise.all(both.map((bytes) => socket.write(bytes))).then(() => {});
  });
  for (const reply of ["direct", "queue"] as const) {
    await using client = new FibonacciClient({ url: broker.url, queue, reply });
    const calls = Array.from({ length: 500 }, () => client.fibonacci(30));
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === "fulfilled") assertEquals(typeof result.value, "bigint");
      else assert(result.reason instanceof RpcError, String(result.reason));
    }
    assertEquals(client.state, "connected");
    assertEquals(client.stats.resubmissions, 0);
  }
});

Deno.test("fuzz: decoding any reply gives digits or an RpcError", () => {
  const pieces = fc.constantFrom('{"response":', '"error":', "null", "1", "}", " ", '"', "-", "e9");
  const text = fc.oneof(fc.array(pieces).map((all) => all.join("")), fc.json(), fc.string());
  const bytes = fc.oneof(text.map((all) => new TextEncoder().encode(all)), fc.uint8Array());
  fc.assert(fc.property(bytes, (body) => {
    try {
      assert(/^\d+$/.test(fibonacci().output.decode(body, {})));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
  }));
});

function asBytes(decimal: string | Uint8Array): Uint8Array {
  return typeof decimal === "string" ? new TextEncoder().encode(decimal) : decimal;
}
