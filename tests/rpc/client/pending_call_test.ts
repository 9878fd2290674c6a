import { assertEquals } from "@std/assert";
import { AbortSignals } from "../../../src/rpc/client/abort_signals.ts";
import { CalledQueue } from "../../../src/rpc/client/called_queue.ts";
import { DeadlineQueue } from "../../../src/rpc/client/deadline_queue.ts";
import {
  PendingCall,
  type PendingCallEvents,
  type PendingCallOptions,
} from "../../../src/rpc/client/pending_call.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { texts } from "../../support/services.ts";

/** Calls on a clock that the test moves, and what happens to them. */
class Scene implements Disposable {
  readonly clock = new FakeClock();
  readonly seen: string[] = [];
  readonly events: PendingCallEvents = {
    timers: new DeadlineQueue((call) => {
      this.seen.push("near");
      call.onDeadlineNear();
    }),
    onDeadline: () => this.seen.push("deadline"),
    signals: new AbortSignals(() => this.seen.push("aborted")),
  };

  call(timeoutMs: number, signal?: AbortSignal): PendingCall {
    const options: PendingCallOptions = {
      id: "id",
      service: texts("queue") as PendingCallOptions["service"],
      queue: new CalledQueue("queue"),
      input: "x",
      name: undefined,
      body: "x",
      headers: undefined,
      timeoutMs,
      idempotent: false,
      unknownReplies: 0,
      signal,
      resolve: () => {},
    };
    return new PendingCall(options, this.events, performance.now());
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]();
  }
}

for (const [timeoutMs, nearMs] of [[10_000, 9_750], [1_000, 900]] as const) {
  Deno.test(`PendingCall: of ${timeoutMs} ms, the queue is looked at after ${nearMs}`, () => {
    using scene = new Scene();
    const call = scene.call(timeoutMs);
    assertEquals(call.deadline, performance.now() + timeoutMs);
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

Deno.test("PendingCall.sendLater: sends once, the latest pause, unless it was sent meanwhile", () => {
  using scene = new Scene();
  const call = scene.call(60_000);
  const send = (name: string) => () => scene.seen.push(name);
  call.sendLater(100, send("first"));
  call.sendLater(200, send("second"));
  scene.clock.advance(200);
  assertEquals(scene.seen, ["second"]);
  call.sendLater(100, send("third"));
  call.sentOn = {};
  scene.clock.advance(100);
  assertEquals(scene.seen, ["second"]);
  call.end();
});

Deno.test("PendingCall.end: leaves no timer, and no listener with the signal", () => {
  using scene = new Scene();
  const giveUp = new AbortController();
  const calls = [scene.call(10_000, giveUp.signal), scene.call(10_000, giveUp.signal)];
  scene.clock.advance(9_800); // Each has a timer of its own now.
  calls[0]!.sendLater(5_000, () => scene.seen.push("sent"));
  calls[0]!.end();
  giveUp.abort();
  assertEquals(scene.seen, ["near", "near", "aborted"]);
  calls[1]!.end();
  assertEquals(scene.clock.timers, 0);
});
