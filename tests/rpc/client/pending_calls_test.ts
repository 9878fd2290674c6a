import { assert, assertEquals, assertRejects } from "@std/assert";
import { RpcError } from "../../../src/errors.ts";
import { CalledQueue } from "../../../src/rpc/client/called_queue.ts";
import { type PendingCall, PendingCalls } from "../../../src/rpc/client/pending_calls.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { texts } from "../../support/services.ts";

/** Calls on a clock that the test moves, and what happens to them. */
class Scene implements Disposable {
  readonly clock = new FakeClock();
  readonly seen: string[] = [];
  readonly calls = new PendingCalls({
    onDeadlineNear: () => this.seen.push("near"),
    onDeadline: () => this.seen.push("deadline"),
    onAbort: () => this.seen.push("aborted"),
    onSettled: (_call, outcome) => this.seen.push(outcome),
  });
  #ids = 0;

  add(timeoutMs: number, signal?: AbortSignal): PendingCall & { output: Promise<unknown> } {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const call = {
      id: `id-${this.#ids++}`,
      service: texts("queue") as PendingCall["service"],
      queue: new CalledQueue("queue"),
      input: "x",
      name: undefined,
      body: "x",
      headers: undefined,
      timeoutMs,
      deadline: performance.now() + timeoutMs,
      idempotent: false,
      unknownReplies: 0,
      signal,
      observer: undefined,
      resolve,
      sent: 0,
      sentAt: 0,
      sentOn: undefined,
      output: promise,
    };
    this.calls.add(call, performance.now());
    return call;
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]();
  }
}

for (const [timeoutMs, nearMs] of [[10_000, 9_750], [1_000, 900]] as const) {
  Deno.test(`PendingCalls: of ${timeoutMs} ms, the queue is looked at after ${nearMs}`, () => {
    using scene = new Scene();
    scene.add(timeoutMs);
    scene.clock.advance(nearMs - 1);
    assertEquals(scene.seen, []);
    scene.clock.advance(1);
    assertEquals(scene.seen, ["near"]);
    scene.clock.advance(timeoutMs - nearMs - 1);
    assertEquals(scene.seen, ["near"]);
    scene.clock.advance(1);
    assertEquals(scene.seen, ["near", "deadline"]);
  });
}

Deno.test("PendingCalls: each waits until it ends, and ends with one outcome", async () => {
  using scene = new Scene();
  const { calls } = scene;
  const [answered, failed, waiting] = [scene.add(1_000), scene.add(1_000), scene.add(1_000)];
  assertEquals([...calls], [answered, failed, waiting]);
  assertEquals([calls.get(failed.id), calls.get("other"), calls.get(undefined)], [
    failed,
    undefined,
    undefined,
  ]);
  calls.respond(answered, "output");
  calls.fail(failed, new RpcError("not_found", "no such thing"));
  assertEquals(scene.seen, ["response", "not_found"]);
  assertEquals([...calls], [waiting]);
  assert(calls.has(waiting) && !calls.has(failed) && calls.size === 1);
  assertEquals(await answered.output, "output");
  assertEquals((await assertRejects(() => failed.output, RpcError)).code, "not_found");
  calls.respond(waiting, undefined);
});

Deno.test("PendingCalls.sendLater: sends once, the latest pause, unless it was sent meanwhile", () => {
  using scene = new Scene();
  const call = scene.add(60_000);
  const send = (name: string) => () => scene.seen.push(name);
  scene.calls.sendLater(call, 100, send("first"));
  scene.calls.sendLater(call, 200, send("second"));
  scene.clock.advance(200);
  assertEquals(scene.seen, ["second"]);
  scene.calls.sendLater(call, 100, send("third"));
  call.sentOn = {};
  scene.clock.advance(100);
  assertEquals(scene.seen, ["second"]);
  scene.calls.respond(call, "");
});

Deno.test("PendingCalls: one that has ended leaves no timer, and no listener with its signal", () => {
  using scene = new Scene();
  const giveUp = new AbortController();
  const calls = [scene.add(10_000, giveUp.signal), scene.add(10_000, giveUp.signal)];
  scene.clock.advance(9_800); // Each has a timer of its own now.
  scene.calls.sendLater(calls[0]!, 5_000, () => scene.seen.push("sent"));
  scene.calls.respond(calls[0]!, "");
  giveUp.abort();
  assertEquals(scene.seen, ["near", "near", "response", "aborted"]);
  scene.calls.respond(calls[1]!, "");
  assertEquals(scene.clock.timers, 0);
});
