import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../../src/errors.ts";
import { parseCondition } from "../../../src/ops/bench/condition.ts";
import { type LoadOptions, runLoad } from "../../../src/ops/bench/load.ts";
import { type Recorded, Recorder } from "../../../src/ops/bench/recorder.ts";

async function run(options: Omit<LoadOptions, "recorder" | "signal">): Promise<Recorded> {
  const recorder = new Recorder();
  await runLoad({ ...options, recorder, signal: new AbortController().signal });
  return recorder.result();
}

Deno.test("Recorder: percentiles are right to one in a thousand; failures have no time", () => {
  const recorder = new Recorder();
  recorder.begin(0, 1_000);
  for (let i = 1; i <= 10_000; i++) {
    recorder.sent();
    recorder.settled({ due: 0, sent: i / 100, now: i / 10, isMeasured: true, error: undefined });
  }
  recorder.sent();
  const error = new RpcError("no_server", "nobody");
  recorder.settled({ due: 0, sent: 0, now: 500, isMeasured: true, error });
  const { dueMs, sentMs, errors, answered, answeredWithin, firstError } = recorder.result();
  const expected = { p50: 500, p90: 900, p99: 990, "p99.9": 999, max: 1_000 };
  for (const [name, ms] of Object.entries(expected)) {
    assertAlmostEquals(dueMs![name as keyof typeof expected], ms, ms / 1_000, name);
    assertAlmostEquals(sentMs![name as keyof typeof expected], ms * 0.9, ms / 1_000, name);
  }
  assertEquals([answered, answeredWithin, errors], [10_000, 10_000, { no_server: 1 }]);
  assertEquals(firstError, "nobody");
  const curve = recorder.curve();
  assertEquals(curve.map(([at]) => at), [...curve.map(([at]) => at)].sort((a, b) => a - b));
  assertEquals(curve.at(-1)![0], 100);
});

Deno.test("runLoad: so many calls, so many at a time; the warm-up is not counted", async () => {
  let inFlight = 0;
  let most = 0;
  let made = 0;
  const recorded = await run({
    pace: { model: "closed", inFlight: 7 },
    extent: { calls: 100 },
    warmUpMs: 50,
    async call(index) {
      assertEquals(index, made++);
      most = Math.max(most, ++inFlight);
      await new Promise((resolve) => setTimeout(resolve, 1));
      inFlight -= 1;
    },
  });
  assertEquals([recorded.sent, recorded.answered, most, inFlight], [100, 100, 7, 0]);
  assert(made > 100);
});

Deno.test("runLoad: an open load is made on time, whatever the answers do", async () => {
  const stalled = Promise.withResolvers<void>();
  const timer = setTimeout(stalled.resolve, 600);
  const recorded = await run({
    pace: { model: "open", rate: 500, inFlight: 10_000 },
    extent: { forMs: 800 },
    warmUpMs: 0,
    call: () => stalled.promise,
  });
  clearTimeout(timer);
  assertEquals([recorded.sent, recorded.answered, recorded.heldBack], [400, 400, 0]);
  // What was due at the beginning waited for the whole stall, what came after it for nothing.
  assertAlmostEquals(recorded.dueMs!.max, 600, 60);
  assertAlmostEquals(recorded.dueMs!.p50, 200, 60);
});

Deno.test("runLoad: what is held back is counted, and why", async () => {
  const never = new AbortController();
  const recorder = new Recorder();
  const limited = runLoad({
    pace: { model: "open", rate: 1_000, inFlight: 10 },
    extent: { forMs: 300 },
    warmUpMs: 0,
    recorder,
    signal: never.signal,
    call: () => new Promise((resolve) => setTimeout(resolve, 100)),
  });
  await limited;
  const { sent, heldBack, isHeldByLimit } = recorder.result();
  assert(sent <= 40, `${sent}`);
  assertEquals([sent + heldBack, isHeldByLimit], [300, true]);

  // A client that is too slow itself.
  const slow = await run({
    pace: { model: "open", rate: 10_000, inFlight: 10_000 },
    extent: { forMs: 300 },
    warmUpMs: 0,
    call() {
      for (const start = performance.now(); performance.now() - start < 1;);
      return Promise.resolve();
    },
  });
  assertEquals([slow.sent + slow.heldBack, slow.isHeldByLimit], [3_000, false]);
  assert(slow.heldBack > 1_000, `${slow.heldBack}`);
});

Deno.test("runLoad: ended early it waits for nothing", async () => {
  for (
    const pace of [
      { model: "closed", inFlight: 3 },
      { model: "open", rate: 100, inFlight: 100 },
    ] as const
  ) {
    const stop = new AbortController();
    const recorder = new Recorder();
    const load = runLoad({
      pace,
      extent: { calls: 1_000_000 },
      warmUpMs: 0,
      recorder,
      signal: stop.signal,
      call() {
        stop.abort();
        return new Promise(() => {});
      },
    });
    await load;
    const { sent, answered } = recorder.result();
    assert(sent >= 1);
    assertEquals(answered, 0);
  }
});

Deno.test("parseCondition: metrics, comparisons and limits", () => {
  const duration = (text: string) => Number(/^(\d+)ms$/.exec(text)?.[1] ?? NaN);
  const recorded: Recorded = {
    ...{ seconds: 2, sent: 100, answered: 98, answeredAfter: 0, answeredWithin: 98 },
    ...{ errors: { no_server: 2 }, firstError: "", heldBack: 0, isHeldByLimit: false },
    dueMs: { p50: 1, p90: 2, p99: 3, "p99.9": 4, max: 5 },
    sentMs: { p50: 0, p90: 0, p99: 0, "p99.9": 0, max: 0 },
  };
  const cases: [text: string, holds: boolean][] = [
    ["p50>1ms", false],
    ["p50>=1ms", true],
    ["p99.9 > 3ms", true],
    ["max<6ms", true],
    ["errors>0", true],
    ["errors>2", false],
    ["errors>1%", true],
    ["errors>2%", false],
    ["rate<50", true],
    ["rate<=48.5", false],
  ];
  for (const [text, holds] of cases) {
    assertEquals(parseCondition(text, duration).holds(recorded), holds, text);
  }
  const nothing = { ...recorded, dueMs: undefined };
  assertEquals(parseCondition("p99>1000ms", duration).holds(nothing), true);
  for (const text of ["", "p98>1ms", "p99=1ms", "errors>", "errors>x", "rate<5%", "rate<-1"]) {
    const error = assertThrows(() => parseCondition(text, duration), RpcError);
    assertEquals(error.code, "invalid_argument", text);
  }
});
