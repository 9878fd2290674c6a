import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { inOrder, type InOrderOptions } from "../../src/cli/io/in_order.ts";
import { run as runProgram } from "../support/process.ts";

async function* batches<T>(...all: T[][]): AsyncGenerator<T[]> {
  yield* all;
}

/** `inOrder` on numbers, with what it emitted. */
async function run(options: Partial<InOrderOptions<number, number>>): Promise<number[]> {
  const emitted: number[] = [];
  await inOrder<number, number>({
    inputs: batches<number>(),
    maxInFlight: 4,
    signal: new AbortController().signal,
    run: (n) => Promise.resolve(n),
    emit: (n) => emitted.push(n),
    ready: () => undefined,
    ...options,
  });
  return emitted;
}

Deno.test("inOrder(): whatever order tasks end in, their results come in the order of the inputs", async () => {
  await fc.assert(fc.asyncProperty(
    fc.scheduler(),
    fc.array(fc.array(fc.nat(), { maxLength: 6 }), { maxLength: 6 }),
    fc.integer({ min: 1, max: 8 }),
    async (scheduler, inputs, maxInFlight) => {
      let running = 0;
      let most = 0;
      const emitted = run({
        inputs: batches(...inputs),
        maxInFlight,
        async run(n) {
          most = Math.max(most, ++running);
          await scheduler.schedule(Promise.resolve());
          running--;
          return n;
        },
      });
      await scheduler.waitFor(emitted);
      assertEquals(await emitted, inputs.flat());
      assert(most <= maxInFlight, `${most} at once`);
    },
  ));
});

Deno.test("inOrder(): runs as many at once as it may", async () => {
  let running = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const emitted = await run({
    inputs: batches([1, 2, 3, 4], [5]),
    async run(n) {
      if (++running === 4) resolve();
      await promise;
      return n;
    },
  });
  assertEquals(emitted, [1, 2, 3, 4, 5]);
});

Deno.test("inOrder(): emits a result while later inputs are still to come", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await run({
    inputs: async function* () {
      yield [1];
      await promise;
      yield [2];
    }(),
    emit: () => resolve(),
  });
});

Deno.test("inOrder(): results that wait for a slow first one are bounded", async () => {
  const slow = Promise.withResolvers<number>();
  let ended = 0;
  const numbers = Array.from({ length: 10_000 }, (_, n) => n);
  const done = run({
    inputs: batches(numbers),
    maxInFlight: 2,
    run(n) {
      if (n === 0) return slow.promise;
      ended++;
      return Promise.resolve(n);
    },
  });
  let before;
  do {
    before = ended;
    await new Promise((resolve) => setTimeout(resolve));
  } while (ended > before);
  assert(ended < 200, `${ended} results wait`);
  slow.resolve(0);
  assertEquals(await done, numbers);
});

Deno.test("inOrder(): large results that wait for a slow first one are bounded by their bytes", async () => {
  const first = Promise.withResolvers<void>();
  let started = 0;
  const emitted = run({
    inputs: batches(Array.from({ length: 100 }, (_, n) => n)),
    async run(n) {
      started += 1;
      if (n === 0) await first.promise;
      return n;
    },
    sizeOf: () => 16 * 1024 * 1024,
  });
  for (let i = 0; i < 1_000; i++) await undefined;
  assert(started >= 5 && started <= 8, `${started} were started`); // 64 MiB, and what is in flight.
  first.resolve();
  assertEquals((await emitted).length, 100);
});

Deno.test("inOrder(): starts nothing until `ready`", async () => {
  const gate = Promise.withResolvers<void>();
  let isReady = false;
  const done = run({
    inputs: batches([1, 2]),
    ready: () => isReady ? undefined : gate.promise,
    run(n) {
      assert(isReady);
      return Promise.resolve(n);
    },
  });
  setTimeout(() => {
    isReady = true;
    gate.resolve();
  });
  assertEquals(await done, [1, 2]);
});

const NEVER = new Promise<never>(() => {});

const STUCK: [string, Partial<InOrderOptions<number, number>>][] = [
  ["the input", {
    inputs: async function* (): AsyncGenerator<number[]> {
      await NEVER;
      yield [];
    }(),
  }],
  ["a task", { inputs: batches([1, 2, 3]), run: () => NEVER }],
  ["a full house", { inputs: batches([1, 2, 3]), maxInFlight: 1, run: () => NEVER }],
  ["`ready`", { inputs: batches([1, 2]), ready: () => NEVER }],
];

for (const [what, options] of STUCK) {
  Deno.test(`inOrder(): an abort ends the wait for ${what}`, async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort());
    assertEquals(await run({ ...options, signal: controller.signal }), []);
  });
}

Deno.test("inOrder(): an abort beforehand starts nothing", async () => {
  let started = 0;
  const count = () => Promise.resolve(++started);
  await run({ inputs: batches([1, 2]), signal: AbortSignal.abort(), run: count });
  assertEquals(started, 0);
});

Deno.test("inOrder(): enough: the batch at hand is run, no other is waited for", async () => {
  for (const at of ["before", "during"]) {
    const enough = new AbortController();
    const emitted = await run({
      inputs: async function* () {
        yield [1, 2, 3];
        await NEVER;
      }(),
      maxInFlight: 1,
      enough: enough.signal,
      run: (n) => {
        if (n === 1 && at === "before") enough.abort();
        if (n === 3 && at === "during") setTimeout(() => enough.abort());
        return Promise.resolve(n);
      },
    });
    assertEquals(emitted, [1, 2, 3]);
  }
});

Deno.test("inOrder(): passes on what its inputs throw", async () => {
  const inputs = async function* (): AsyncGenerator<number[]> {
    yield [1];
    throw new Error("unreadable");
  }();
  assertEquals((await assertRejects(() => run({ inputs }), Error)).message, "unreadable");
});

Deno.test("inOrder(): keeps nothing of the numbers that are done", async () => {
  // Some 200 bytes for each would be twice what the heap may take.
  const program = `
    import { inOrder } from "${new URL("../../src/cli/io/in_order.ts", import.meta.url)}";
    async function* inputs() {
      for (let i = 0; i < 400; i++) yield Array(1_000).fill(i);
    }
    let emitted = 0;
    let asked = 0;
    await inOrder({
      inputs: inputs(),
      maxInFlight: 1,
      signal: new AbortController().signal,
      enough: new AbortController().signal,
      ready: () => asked++ % 2 ? undefined : Promise.resolve(),
      run: (n) => Promise.resolve(n),
      emit: () => emitted++,
    });
    console.log(emitted);`;
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  try {
    await Deno.writeTextFile(`${folder}/program.ts`, program);
    const args = ["run", "--no-check", "--quiet", "--v8-flags=--max-old-space-size=40"];
    const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
      ...args,
      `${folder}/program.ts`,
    ]);
    assertEquals({ code, stdout }, { code: 0, stdout: "400000\n" }, stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("inOrder(): enough: a batch that has come already is run too, the last one", async () => {
  const enough = new AbortController();
  let pulled = 0;
  const emitted = await run({
    inputs: async function* () {
      for (;;) yield [++pulled];
    }(),
    enough: enough.signal,
    run: async (n) => {
      await new Promise((resolve) => setTimeout(resolve));
      if (n === 1) enough.abort();
      return n;
    },
    maxInFlight: 1,
  });
  // 2 was taken before, 3 had come.
  assertEquals(emitted, [1, 2, 3]);
  assertEquals(pulled, 3);
});
