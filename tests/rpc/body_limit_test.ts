import { assertEquals, assertStringIncludes } from "@std/assert";
import { BodyLimit } from "../../src/rpc/body_limit.ts";

/** As RabbitMQ 3.10, 4.0 and 4.3 word it. */
const REFUSALS = [
  "channel 1 closed: PRECONDITION_FAILED - message size 2000 is larger than max size 1000 (406)",
  "channel 1 closed: PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000 (406)",
];

Deno.test("BodyLimit: its owner's limit, in bytes of UTF-8", () => {
  const limit = new BodyLimit(6);
  const bodies = ["", "abcdef", "\u20ac\u20ac", "ab\u20ac", new Uint8Array(6)];
  assertEquals(bodies.map((body) => limit.allows(body)), [true, true, true, true, true]);
  const large = ["abcdefg", "\u20ac\u20aca", new Uint8Array(7)];
  assertEquals(large.map((body) => limit.allows(body)), [false, false, false]);
  const { code, message } = limit.error("\u20ac\u20aca", "it");
  assertEquals(code, "resource_exhausted");
  assertStringIncludes(message, "it has 7 bytes, over the message limit of 6");
});

for (const text of REFUSALS) {
  Deno.test(`BodyLimit: a broker's that is lower counts for its connection: ${text}`, () => {
    const limit = new BodyLimit(1_500);
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

Deno.test("BodyLimit: a broker's that is higher changes nothing, nor does another reason", () => {
  const limit = new BodyLimit(100);
  assertEquals(limit.learn(new Error(REFUSALS[0])), true);
  assertEquals(limit.allows(new Uint8Array(101)), false);
  assertEquals(limit.learn(new Error("channel 1 closed: NOT_FOUND - no queue (404)")), false);
  assertEquals(limit.allows(new Uint8Array(100)), true);
});
