import { assertEquals, assertMatch } from "@std/assert";
import { Liveness } from "../../src/amqp/liveness.ts";
import { FakeClock } from "../support/fake_clock.ts";

const INTERVAL_MS = 10_000;

/** A watched connection, on a clock that a test moves. */
function watch(clock: FakeClock) {
  const deaths: Error[] = [];
  let heartbeats = 0;
  const liveness = new Liveness(() => {
    heartbeats += 1;
    liveness.sent();
  }, (reason) => deaths.push(reason));
  liveness.start(INTERVAL_MS);
  return {
    liveness,
    deaths,
    heartbeats: () => heartbeats,
    afterMs: (ms: number) => clock.advance(ms),
  };
}

Deno.test("Liveness: a peer that is silent is gone after two intervals, once", () => {
  using clock = new FakeClock();
  const { deaths, afterMs } = watch(clock);
  afterMs(2 * INTERVAL_MS - 1);
  assertEquals(deaths, []);
  afterMs(1);
  assertEquals(deaths.length, 1);
  assertMatch(deaths[0]!.message, /nothing came for 20 s/);
  afterMs(10 * INTERVAL_MS);
  assertEquals(deaths.length, 1);
});

Deno.test("Liveness: whatever comes proves that the peer is there", () => {
  using clock = new FakeClock();
  const { liveness, deaths, afterMs } = watch(clock);
  for (let i = 0; i < 10; i++) {
    afterMs(1.9 * INTERVAL_MS);
    liveness.received();
  }
  assertEquals(deaths, []);
  afterMs(2.5 * INTERVAL_MS); // A tick comes each half an interval.
  assertEquals(deaths.length, 1);
});

Deno.test("Liveness: a heartbeat leaves within an interval in which nothing else does, and only then", () => {
  using clock = new FakeClock();
  const { liveness, heartbeats, afterMs } = watch(clock);
  for (let i = 0; i < 10; i++) {
    afterMs(INTERVAL_MS / 2);
    liveness.received();
    liveness.sent();
  }
  assertEquals(heartbeats(), 0);
  for (let i = 1; i <= 10; i++) {
    afterMs(INTERVAL_MS);
    liveness.received();
    assertEquals(heartbeats() >= i - 1 && heartbeats() <= 2 * i, true, `${heartbeats()} in ${i}`);
  }
});

Deno.test("Liveness: a process that stood still listens before it judges", () => {
  using clock = new FakeClock();
  const { liveness, deaths, afterMs } = watch(clock);
  clock.standStill(10 * INTERVAL_MS);
  assertEquals(deaths, []);
  liveness.received();
  clock.standStill(10 * INTERVAL_MS);
  afterMs(1.5 * INTERVAL_MS);
  assertEquals(deaths, []);
  afterMs(INTERVAL_MS);
  assertEquals(deaths.length, 1);
});

Deno.test("Liveness: without heartbeats nothing is watched; after the end nothing either", () => {
  using clock = new FakeClock();
  const none = new Liveness(() => {}, () => {});
  none.start(0);
  assertEquals(clock.timers, 0);
  const { liveness } = watch(clock);
  assertEquals(clock.timers, 1);
  liveness.stop();
  assertEquals(clock.timers, 0);
});
