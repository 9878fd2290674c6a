import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { RpcError } from "../../../src/errors.ts";
import { FibonacciClient } from "../../../src/services/fibonacci/client.ts";
import { FibonacciServer } from "../../../src/services/fibonacci/server.ts";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { RawChannel } from "../../support/raw_channel.ts";

const broker = await sharedBroker();

Deno.test("FibonacciClient.fibonacci: what is no n is refused before anything is sent", async () => {
  await using client = new FibonacciClient({ url: "amqp://127.0.0.1:1" });
  for (const n of [2 ** 53, 1e21, -1, 1.5, NaN, Infinity, -1n, "", "x", "1e3", " "]) {
    const error = await assertRejects(() => client.fibonacci(n), RpcError);
    assertEquals(error.code, "invalid_argument", String(n));
  }
  const { message } = await assertRejects(() => client.fibonacci(2 ** 53), RpcError);
  assertStringIncludes(message, "9007199254740992 is not a whole number below 2^53 (use a bigint)");
  assertEquals(client.state, "idle");
});

Deno.test("FibonacciClient: refuses a queue that can't be", () => {
  for (const queue of ["", "ü".repeat(128), "\ud800"]) {
    assertThrows(() => new FibonacciClient({ queue }), RpcError, "queue");
  }
});

Deno.test("FibonacciClient: understands every form of reply", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("client");
  const big = "9".repeat(100);
  await peer.serve(queue, (request) => ({
    body: [
      " 832040\n",
      `{"response": ${big}, "error": null}`,
      '{"response": null, "error": "no such thing"}',
      "not a number",
      '{"code": "out_of_range", "message": "too big"}',
      "",
      "-5",
      '{"response": -5}',
    ][Number(request)]!,
    properties: request === "4" ? { type: "error" } : {},
  }));
  await using client = new FibonacciClient({ url: broker.url, queue });
  assertEquals(await client.call("0"), "832040");
  assertEquals(await client.call("1"), big);
  const errors = await Promise.all(
    ["2", "3", "4", "5", "6", "7"].map((n) => assertRejects(() => client.call(n), RpcError)),
  );
  assertEquals(errors.map(({ code }) => code), [
    "internal",
    "internal",
    "out_of_range",
    "internal",
    "internal",
    "internal",
  ]);
  assertStringIncludes(errors[0]!.message, "no such thing");
  assertStringIncludes(errors[1]!.message, "not a number");
  assertStringIncludes(errors[2]!.message, "too big");
});

Deno.test("FibonacciClient.call: what is no number reaches the server as it is", async () => {
  const queue = uniqueQueue("client");
  await using server = new FibonacciServer({ url: broker.url, queue });
  await server.start();
  await using client = new FibonacciClient({ url: broker.url, queue });
  const { code } = await assertRejects(() => client.call("\u0133\u0130"), RpcError);
  assertEquals(code, "invalid_argument");
});
