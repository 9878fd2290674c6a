import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RpcError } from "../../../src/errors.ts";
import { FibonacciClient } from "../../../src/services/fibonacci/client.ts";

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
