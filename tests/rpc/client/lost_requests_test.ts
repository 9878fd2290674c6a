import { assertEquals } from "@std/assert";
import type { QueueInspection } from "../../../src/amqp/queue.ts";
import { CalledQueue } from "../../../src/rpc/client/called_queue.ts";
import type { PendingCall } from "../../../src/rpc/client/pending_calls.ts";
import type { ReplyConsumer } from "../../../src/rpc/client/reply_consumer.ts";
import { LostRequestDetector } from "../../../src/rpc/client/lost_requests.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type Call = PendingCall;

const AFTER_MS = 1_000;

/** A watch on calls that were just sent, on a clock that the test moves. */
class Scene implements Disposable {
  readonly clock = new FakeClock();
  readonly pending = new Map<string, Call>();
  readonly resent: string[] = [];
  readonly pauses: number[] = [];
  readonly session = {} as ReplyConsumer;
  readonly watch: LostRequestDetector;
  queue: QueueInspection = { found: true, consumers: 1, messages: 0 };
  readonly called = new CalledQueue("queue");
  connected = true;
  looks = 0;

  constructor(resendAfterMs = AFTER_MS) {
    this.watch = new LostRequestDetector({
      resendAfterMs,
      calls: {
        has: ({ id }) => this.pending.has(id),
        [Symbol.iterator]: () => this.pending.values(),
      },
      session: () => this.connected ? this.session : undefined,
      resend: (call, pauseMs) => {
        this.resent.push(call.id);
        this.pauses.push(pauseMs);
        call.sent += 1;
        call.sentAt = performance.now();
      },
    });
    this.called.inspect = () => {
      this.looks += 1;
      return Promise.resolve(this.queue);
    };
    this.watch.start();
  }

  send(
    id: string,
    options: { idempotent?: boolean; sent?: number; timeoutMs?: number } = {},
  ): Call {
    const { idempotent = true, sent = 1, timeoutMs = 1_000 * AFTER_MS } = options;
    const call = {
      id,
      idempotent,
      timeoutMs,
      queue: this.called,
      deadline: performance.now() + timeoutMs,
      sent,
      sentAt: performance.now(),
      sentOn: this.session,
    } as unknown as Call;
    this.pending.set(id, call);
    return call;
  }

  answer(call: Call): void {
    this.watch.answered(call);
    this.pending.delete(call.id);
  }

  /** Moves the clock on in steps, so that what a look finds is dealt with at its time. */
  async advance(ms: number): Promise<void> {
    const STEP_MS = 10;
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.clock.advance(STEP_MS);
      for (let i = 0; i < 10; i++) await Promise.resolve();
    }
  }

  [Symbol.dispose](): void {
    this.watch.stop();
    this.clock[Symbol.dispose]();
  }
}

Deno.test("LostRequestDetector: out of a queue without consumers, a request is sent again", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 0, messages: 0 };
  scene.send("a");
  await scene.advance(AFTER_MS - 10);
  assertEquals(scene.resent, []);
  await scene.advance(AFTER_MS / 4 + 10);
  assertEquals(scene.resent, ["a"]);
});

Deno.test("LostRequestDetector: out of a queue with consumers, it is sent again six times later", async () => {
  using scene = new Scene();
  scene.send("a");
  await scene.advance(6 * AFTER_MS - 10);
  assertEquals(scene.resent, []);
  await scene.advance(AFTER_MS / 4 + 10);
  assertEquals(scene.resent, ["a"]);
});

Deno.test("LostRequestDetector: a request is sent again while there is time for it", async () => {
  using scene = new Scene();
  scene.send("short", { timeoutMs: 4 * AFTER_MS });
  scene.send("long", { timeoutMs: 6 * AFTER_MS });
  await scene.advance(3 * AFTER_MS - 10);
  assertEquals(scene.resent, []);
  await scene.advance(AFTER_MS / 4 + 10);
  assertEquals(scene.resent, ["short"]);
});

Deno.test("LostRequestDetector: the patience doubles with each time that it is sent again", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 0, messages: 0 };
  scene.send("a");
  const at: number[] = [];
  for (let ms = 0; ms <= 8 * AFTER_MS; ms += 10) {
    if (scene.resent.length > at.length) at.push(ms);
    await scene.advance(10);
  }
  assertEquals(at.map((ms) => Math.floor(ms / AFTER_MS)), [1, 3, 7]);
});

Deno.test("LostRequestDetector: what is not idempotent is not sent again, whatever happened to it", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 0, messages: 0 };
  scene.send("a", { idempotent: false });
  await scene.advance(AFTER_MS);
  scene.queue = { found: false };
  scene.called.missingAt = performance.now();
  scene.answer(scene.send("b"));
  await scene.advance(100 * AFTER_MS);
  assertEquals([scene.resent, scene.looks], [[], 0]);
});

Deno.test("LostRequestDetector: what waits in the queue is not sent again", async () => {
  using scene = new Scene();
  scene.answer(scene.send("before"));
  await scene.advance(10);
  scene.queue = { found: true, consumers: 1, messages: 1 };
  scene.send("a");
  await scene.advance(100 * AFTER_MS);
  assertEquals(scene.resent, []);
});

Deno.test("LostRequestDetector: an answer to a later request shows that one has left the queue", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 0, messages: 5 };
  scene.send("a");
  await scene.advance(10);
  scene.answer(scene.send("later"));
  await scene.advance(AFTER_MS / 4 + AFTER_MS);
  assertEquals(scene.resent, ["a"]);
});

Deno.test("LostRequestDetector: an answer to what was sent twice shows nothing", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 0, messages: 5 };
  scene.send("a");
  await scene.advance(10);
  scene.answer(scene.send("later", { sent: 2 }));
  await scene.advance(100 * AFTER_MS);
  assertEquals(scene.resent, []);
});

Deno.test("LostRequestDetector: what was sent before its queue was missing is sent again", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 1, messages: 1 };
  scene.send("before");
  await scene.advance(10);
  scene.called.missingAt = performance.now();
  await scene.advance(10);
  scene.send("after");
  await scene.advance(AFTER_MS / 4 + AFTER_MS);
  assertEquals(scene.resent, ["before"]);
});

Deno.test("LostRequestDetector: where it can't look, only answers tell", async () => {
  using scene = new Scene();
  scene.queue = { found: "unknown" };
  scene.send("a");
  await scene.advance(10);
  const later = scene.send("later");
  await scene.advance(10 * AFTER_MS);
  assertEquals(scene.resent, []);
  scene.answer(later);
  await scene.advance(AFTER_MS / 4);
  assertEquals(scene.resent, ["a"]);
});

Deno.test("LostRequestDetector: more than servers hold are lost, and go out one after the other", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 2, messages: 0 };
  for (let i = 0; i < 128; i++) scene.send(String(i));
  await scene.advance(2 * AFTER_MS);
  assertEquals(scene.resent, []);
  scene.send("one more");
  await scene.advance(AFTER_MS / 4 + AFTER_MS);
  assertEquals(scene.resent.length, 129);
  const quarter = AFTER_MS / 4;
  assertEquals(scene.pauses, Array.from({ length: 129 }, (_, i) => i * (quarter / 129)));
});

Deno.test("LostRequestDetector: one look at a time, none without a session, none when it is stopped", async () => {
  using scene = new Scene();
  scene.queue = { found: true, consumers: 1, messages: 1 };
  scene.send("a");
  scene.connected = false;
  await scene.advance(10 * AFTER_MS);
  assertEquals(scene.looks, 0);
  scene.connected = true;
  await scene.advance(AFTER_MS);
  assertEquals(scene.looks, 4);
  scene.pending.get("a")!.sentOn = {}; // The next session is to send it.
  await scene.advance(AFTER_MS);
  assertEquals(scene.looks, 4);
  scene.watch.stop();
  assertEquals(scene.clock.timers, 0);
});

Deno.test("LostRequestDetector: never, for a patience without end", () => {
  using scene = new Scene(Infinity);
  assertEquals(scene.clock.timers, 0);
});
