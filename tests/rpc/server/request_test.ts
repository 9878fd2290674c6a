import { assert, assertEquals } from "@std/assert";
import type { Delivery, MessageProperties } from "../../../src/amqp/message.ts";
import { OwnLosses } from "../../../src/rpc/server/quarantine/own_losses.ts";
import { ReceivedRequest, type SettlementChannel } from "../../../src/rpc/server/request.ts";

function received(body: string, properties: MessageProperties = {}): ReceivedRequest {
  const message = {
    body: new TextEncoder().encode(body),
    deliveryTag: 1,
    properties: { correlationId: "id", replyTo: "replies", ...properties },
    redelivered: false,
  };
  return new ReceivedRequest({} as SettlementChannel, message as Delivery, performance.now());
}

Deno.test("ReceivedRequest: a large body is not kept once it was taken, a small one is", () => {
  const large = received("x".repeat(100_000));
  const { key } = received("x".repeat(100_000));
  assertEquals(large.takeBody().length, 100_000);
  assertEquals(large.message.body, null);
  assertEquals(large.key, key);
  const small = received("30");
  small.takeBody();
  assertEquals(small.message.body?.length, 2);
});

Deno.test("ReceivedRequest.key: tells requests apart by all that a caller may vary", () => {
  const { key } = received("30");
  assertEquals(received("30").key, key);
  for (
    const other of [
      received("31"),
      received("30", { correlationId: "other" }),
      received("30", { replyTo: "other" }),
    ]
  ) assert(other.key !== key);
  assert(received("x".repeat(1_000)).key !== received("x".repeat(1_001)).key);
});

Deno.test("ReceivedRequest.extend(): the later deadline counts, and none at all counts most", () => {
  const request = received("30", { expiration: "1000" });
  const first = request.deadline!;
  request.extend(first - 500);
  assertEquals(request.deadline, first);
  request.extend(first + 500);
  assertEquals(request.deadline, first + 500);
  request.extend(undefined);
  assertEquals(request.deadline, undefined);
  request.extend(first);
  assertEquals(request.deadline, undefined);
});

Deno.test("OwnLosses: has what was lost a few times, and forgets the oldest", () => {
  const losses = new OwnLosses(2);
  const [a, b, c] = [received("a"), received("b"), received("c")];
  assert(!losses.has(a!));
  losses.add(a!);
  losses.add(b!);
  losses.add(a!);
  losses.add(c!);
  assertEquals([a, b, c].map((request) => losses.has(request!)), [true, false, true]);
});

Deno.test("OwnLosses: what was lost again and again is as suspect as any other", () => {
  const losses = new OwnLosses(2);
  const request = received("a");
  for (let n = 0; n < 9; n++) losses.add(request);
  assertEquals([losses.has(request), losses.isExhausted(request)], [true, false]);
  losses.add(request);
  assertEquals([losses.has(request), losses.isExhausted(request)], [false, true]);
});
