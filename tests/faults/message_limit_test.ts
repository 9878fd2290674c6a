import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { FibonacciClient } from "../../src/services/fibonacci/client.ts";
import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { RpcClient } from "../../src/rpc/client/client.ts";
import { RpcServer } from "../../src/rpc/server/server.ts";
import { bytes } from "../../src/rpc/codec.ts";
import type { Service } from "../../src/rpc/service.ts";
import { startBroker } from "../support/broker.ts";
import { texts } from "../support/services.ts";

const LIMIT = 1_000;

const limited = texts("limited", { describe: (text) => `a text of ${text.length}` });

Deno.test("a body over the broker's own limit fails its call, and no other", async (t) => {
  await using broker = await startBroker({ config: `max_message_size = ${LIMIT}` });
  const options = { url: broker.url };
  await using server = new RpcServer(options);
  server.serve(limited, (text) => {
    if (text === "failure") throw new RpcError("out_of_range", "é".repeat(LIMIT));
    return text === "long" ? "x".repeat(LIMIT + 1) : text;
  });
  await server.start();

  await t.step("a request: its neighbours on the channel are answered", async () => {
    const idempotent = { ...limited, idempotent: true };
    await using client = new RpcClient(options);
    const neighbours = Array.from(
      { length: 20 },
      (_, i) => client.call(idempotent, `neighbour ${i}`),
    );
    const error = await assertRejects(
      () => client.call(idempotent, "x".repeat(LIMIT + 1)),
      RpcError,
    );
    assertEquals(error.code, "resource_exhausted");
    assertStringIncludes(error.message, `over the message limit of ${LIMIT}`);
    assertEquals(await Promise.all(neighbours), neighbours.map((_, i) => `neighbour ${i}`));
    // Known by now: it isn't even sent.
    const { resubmissions } = client.stats;
    const unsent = await assertRejects(
      () => client.call(idempotent, "é".repeat(LIMIT / 2 + 1)),
      RpcError,
    );
    assertStringIncludes(unsent.message, "1002 bytes");
    assertEquals(await client.call(idempotent, "x".repeat(LIMIT)), "x".repeat(LIMIT));
    assertEquals(client.stats.resubmissions, resubmissions);
  });

  await t.step("a result: its caller is told, the others are answered", async () => {
    await using client = new RpcClient(options);
    const calls = Array.from(
      { length: 20 },
      (_, i) => client.call(limited, i === 10 ? "long" : `${i}`),
    );
    const results = await Promise.allSettled(calls);
    const failed = results.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assertEquals(failed.map(({ reason }) => reason.code), ["resource_exhausted"]);
    assertStringIncludes(failed[0]!.reason.message, `over the message limit of ${LIMIT}`);
    assertEquals(server.stats.givenUp, 0);
  });

  await t.step("an error: its message is cut, the others are answered", async () => {
    await using client = new RpcClient(options);
    const calls = Array.from(
      { length: 20 },
      (_, i) => client.call(limited, i === 10 ? "failure" : `${i}`),
    );
    const results = await Promise.allSettled(calls);
    const failed = results.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assertEquals(failed.map(({ reason }) => reason.code), ["out_of_range"]);
    assertStringIncludes(failed[0]!.reason.message, "ééé...");
    assertEquals(server.stats.givenUp, 0);
  });
});

Deno.test("a body over 16 MiB goes both ways where both ends and the broker allow it", async (t) => {
  const MIB = 1024 * 1024;
  await using broker = await startBroker({ config: `max_message_size = ${40 * MIB}` });
  const service: Service<Uint8Array, Uint8Array> = { queue: "large", input: bytes, output: bytes };
  const options = { url: broker.url };
  const large = { ...options, maxMessageBytes: 64 * MIB };
  await using server = new RpcServer(large);
  server.serve(service, (body) => body);
  await server.start();
  await using client = new RpcClient(large);

  await t.step("20 MiB, in many frames, come back as they were", async () => {
    const body = new Uint8Array(20 * MIB).map((_, i) => i % 251);
    const reply = await client.call(service, body);
    assertEquals(reply.length, body.length);
    assertEquals(reply.findIndex((byte, i) => byte !== body[i]), -1);
  });

  await t.step("the broker's own limit still counts", async () => {
    const error = await assertRejects(
      () => client.call(service, new Uint8Array(41 * MIB)),
      RpcError,
    );
    assertEquals(error.code, "resource_exhausted");
    assertStringIncludes(error.message, `over the message limit of ${40 * MIB}`);
  });

  await t.step("unless it is asked for, the limit is 16 MiB", async () => {
    await using other = new RpcClient(options);
    const error = await assertRejects(
      () => other.call(service, new Uint8Array(16 * MIB + 1)),
      RpcError,
    );
    assertEquals([error.code, other.stats.calls], ["resource_exhausted", 0]);
    assertStringIncludes(error.message, `over the message limit of ${16 * MIB}`);
  });
});

Deno.test("a Fibonacci number that no message may hold is not computed", async () => {
  await using broker = await startBroker();
  const options = { url: broker.url, queue: "digits" };
  await using server = new FibonacciServer({ ...options, maxMessageBytes: 30_000 });
  await server.start();
  await using client = new FibonacciClient(options);
  // 41,798 digits, computed by a worker; 20,899, on the server's own thread.
  const big = await assertRejects(() => client.fibonacci(200_000), RpcError);
  assertEquals(big.code, "resource_exhausted");
  assertStringIncludes(big.message, "more digits than a message may hold (30000)");
  assertEquals(String(await client.fibonacci(99_999)).length, 20_899);
});
