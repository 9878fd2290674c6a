import { assertEquals, assertRejects } from "@std/assert";
import { NoAnswer, pause, within } from "../src/time.ts";

const never = new AbortController().signal;
const FOREVER = new Promise<never>(() => {});

Deno.test("within: gives what comes in time, and what is thrown", async () => {
  assertEquals(await within(Promise.resolve(7), 60_000, never, "no answer"), 7);
  const reason = new Error("mine");
  const error = await assertRejects(
    () => within(Promise.reject(reason), 60_000, never, "no answer"),
    Error,
  );
  assertEquals(error, reason);
});

Deno.test("within: says what took too long; what comes later is of no concern", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  const error = await assertRejects(() => within(promise, 10, never, "no answer"), NoAnswer);
  assertEquals(error.message, "no answer within 10 ms");
  reject(new Error("late"));
});

Deno.test("within: ends at once when it is given up, with the reason", async () => {
  const giveUp = new AbortController();
  const waiting = within(FOREVER, 60_000, giveUp.signal, "no answer");
  giveUp.abort(new Error("enough"));
  assertEquals((await assertRejects(() => waiting, Error)).message, "enough");
});

Deno.test("pause: ends early when the signal aborts, and leaves no timer", async () => {
  const controller = new AbortController();
  const paused = pause(1_000_000, controller.signal);
  controller.abort();
  await paused;
  await pause(1_000_000, controller.signal);
  await pause(0, new AbortController().signal);
});
