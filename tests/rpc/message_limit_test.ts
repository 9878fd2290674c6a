import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { MessageSizeLimit } from "../../src/rpc/message_limit.ts";
import { RpcClient } from "../../src/rpc/client/client.ts";
import { closeChannel, startScriptedBroker } from "../support/scripted_broker.ts";
import { texts } from "../support/services.ts";
import { waitFor } from "../support/wait.ts";

/** As RabbitMQ 3.10, 4.0 and 4.3 word it. */
const REFUSALS = [
  "channel 1 closed: PRECONDITION_FAILED - message size 2000 is larger than max size 1000 (406)",
  "channel 1 closed: PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000 (406)",
];

Deno.test("MessageSizeLimit: its owner's limit, in bytes of UTF-8", () => {
  const limit = new MessageSizeLimit(6);
  const bodies = ["", "abcdef", "\u20ac\u20ac", "ab\u20ac", new Uint8Array(6)];
  assertEquals(bodies.map((body) => limit.allows(body)), [true, true, true, true, true]);
  const large = ["abcdefg", "\u20ac\u20aca", new Uint8Array(7)];
  assertEquals(large.map((body) => limit.allows(body)), [false, false, false]);
  const { code, message } = limit.error("\u20ac\u20aca", "it");
  assertEquals(code, "resource_exhausted");
  assertStringIncludes(message, "it has 7 bytes, over the message limit of 6");
});

for (const text of REFUSALS) {
  Deno.test(`MessageSizeLimit: a broker's that is lower counts for its connection: ${text}`, () => {
    const limit = new MessageSizeLimit(1_500);
    const [one, other] = [{}, {}];
    const body = new Uint8Array(1_200);
    limit.startOn(one);
    assertEquals(limit.learn(new Error(text)), true);
    assertEquals(limit.allows(body), false);
    limit.startOn(one); // Another channel of the same connection.
    assertEquals(limit.allows(body), false);
    limit.startOn(other); // It may be another broker's.
    assertEquals(limit.allows(body), true);
    assertEquals(limit.allows(new Uint8Array(1_501)), false);
  });
}

Deno.test("MessageSizeLimit: a broker's that is higher changes nothing, nor does another reason", () => {
  const limit = new MessageSizeLimit(100);
  assertEquals(limit.learn(new Error(REFUSALS[0])), true);
  assertEquals(limit.allows(new Uint8Array(101)), false);
  assertEquals(limit.learn(new Error("channel 1 closed: NOT_FOUND - no queue (404)")), false);
  assertEquals(limit.allows(new Uint8Array(100)), true);
});

Deno.test("RpcClient: after a fail-over the limit is the next broker's", async () => {
  await using low = startScriptedBroker({
    answers: {
      "accept": (_, connection) => {
        if (connection.index > 0) connection.close();
        return undefined;
      },
      "basic.publish": ({ channel }) =>
        closeChannel(
          channel,
          406,
          "PRECONDITION_FAILED - message size 1200 is larger than max size 1000",
        ),
    },
  });
  await using high = startScriptedBroker();
  const service = texts("queue");
  await using client = new RpcClient({ url: [low.url, high.url] });
  const code = async (text: string) =>
    (await assertRejects(() => client.call(service, text, { timeoutMs: 60_000 }), RpcError)).code;
  assertEquals(await code("x".repeat(1_200)), "resource_exhausted");
  assertEquals([await code("x".repeat(1_100)), low.count("basic.publish")], [
    "resource_exhausted",
    1,
  ]);
  low.connections[0]!.close();
  await waitFor(() => high.count("basic.consume") === 1 && client.state === "connected", {
    what: "the next broker",
  });
  const call = code("x".repeat(1_200));
  await waitFor(() => high.count("basic.publish") === 1 || client.pending === 0, {
    what: "the call to reach the next broker",
  });
  await client.close();
  assertEquals(await call, "cancelled");
});
