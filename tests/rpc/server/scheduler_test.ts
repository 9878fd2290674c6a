import { assert, assertEquals } from "@std/assert";
import { RequestScheduler } from "../../../src/rpc/server/scheduler.ts";

const busy = (ms: number) => {
  const end = performance.now() + ms;
  while (performance.now() < end) { /* Busy. */ }
};

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("RequestScheduler: expensive tasks leave a turn to everything else in between", async () => {
  const work = new RequestScheduler();
  let done = 0;
  for (let n = 0; n < 20; n++) {
    work.push(() => {
      busy(6);
      done += 1;
    });
  }
  await turn();
  assert(done < 20, "all ran in one turn");
  while (done < 20) await turn();
});

Deno.test("RequestScheduler: cheap tasks run at once, in order", () => {
  const work = new RequestScheduler();
  const done: number[] = [];
  for (let n = 0; n < 3; n++) work.push(() => void done.push(n));
  assertEquals(done, [0, 1, 2]);
});

Deno.test("RequestScheduler.alone(): waits for what is under way, and the others wait for it", async () => {
  const work = new RequestScheduler();
  const events: string[] = [];
  const before = Promise.withResolvers<void>();
  const within = Promise.withResolvers<void>();
  work.push(() => before.promise);
  const alone = work.alone(async () => {
    events.push("alone");
    await within.promise;
    events.push("end");
  });
  work.push(() => void events.push("other"));
  await turn();
  assertEquals(events, []);
  before.resolve();
  await turn();
  assertEquals(events, ["alone"]);
  within.resolve();
  await alone;
  assertEquals(events, ["alone", "end", "other"]);
});

Deno.test("RequestScheduler.alone(): is not kept waiting for ever, nor does it keep others so", async () => {
  const work = new RequestScheduler();
  const never = new Promise<void>(() => {});
  const end = Promise.withResolvers<void>();
  work.push(() => never);
  const begun = Promise.withResolvers<void>();
  const alone = work.alone(() => {
    begun.resolve();
    return end.promise;
  });
  await begun.promise;
  const other = Promise.withResolvers<void>();
  work.push(() => other.resolve());
  await other.promise;
  end.resolve();
  await alone;
});
