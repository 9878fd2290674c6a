import { assertEquals } from "@std/assert";
import { ServerHistory } from "../../src/ops/history.ts";
import type { ObservedRequest } from "../../src/rpc/server/observer.ts";
import { FakeClock } from "../support/fake_clock.ts";

function request(ms: number, parts: Partial<ObservedRequest> = {}): ObservedRequest {
  const startedAt = performance.now() - ms;
  return {
    queue: "q",
    correlationId: "id",
    headers: undefined,
    redelivered: false,
    bodyBytes: 1,
    replyBytes: 1,
    receivedAt: startedAt,
    startedAt,
    ...parts,
  };
}

Deno.test("ServerHistory: a sample holds rates and percentiles, within one in a hundred", () => {
  using clock = new FakeClock();
  const history = new ServerHistory(() => 7);
  history.start();
  for (let ms = 1; ms <= 100; ms++) history.requestSettled(request(ms), "response");
  history.requestSettled(request(1_000, { startedAt: undefined }), "expired");
  clock.advance(5_000);
  const [{ responses, failures, p50, p99, inFlight, seconds }] = history.samples as [
    typeof history.samples[number],
  ];
  assertEquals([responses, failures, inFlight, Math.round(seconds)], [100, 1, 7, 5]);
  assertEquals(Math.abs(p50! / 50 - 1) <= 0.015, true, `${p50}`);
  assertEquals(Math.abs(p99! / 99 - 1) <= 0.015, true, `${p99}`);
  clock.advance(5_000);
  assertEquals(history.samples.map(({ p50 }) => p50 === null), [false, true]);
  clock.advance(5_000 * 200);
  assertEquals(history.samples.length, 120);
  history.stop();
});

Deno.test("ServerHistory: the last failures, the latest first; ids are cut", () => {
  const history = new ServerHistory(() => 0);
  for (let i = 0; i < 30; i++) {
    history.requestSettled(request(1, { correlationId: `${i}`.padEnd(500, "x") }), "internal");
    history.requestSettled(request(1), "response");
    history.requestSettled(request(1), "duplicate");
  }
  assertEquals(history.failures.length, 20);
  assertEquals(history.failures[0]!.requestId, "29".padEnd(64, "x"));
});
