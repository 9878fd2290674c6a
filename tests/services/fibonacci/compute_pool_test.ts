import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { setEnvironmentData } from "node:worker_threads";
import { RpcError } from "../../../src/errors.ts";
import { ComputePool } from "../../../src/services/fibonacci/pool/compute_pool.ts";
import { fibonacciDecimal } from "../../../src/services/fibonacci/math/decimal.ts";
import { CollectedLog } from "../../support/log.ts";
import { waitFor } from "../../support/wait.ts";

const text = (digits: Uint8Array) => new TextDecoder().decode(digits);

/** What a worker made of `workerModule` shares with its test. */
interface Shared {
  /** How many workers were started. */
  readonly workers: number;
  /** How many computations were started. */
  readonly computations: number;
  /** Lets computations with `wait()` end, now and later. */
  open(): void;
}

/**
 * A worker of the test's own.
 *
 * @param compute Its body, with `n`, `wait()` until the test opens the gate,
 * `checkpoint()`, `computations` so far, and `exit()`; it returns a string.
 * @param load What it does before it is ready.
 */
function workerModule(compute: string, load = ""): Shared & { module: URL } {
  const cells = new Int32Array(new SharedArrayBuffer(12));
  setEnvironmentData("cells", cells);
  const signals = new URL(
    "../../../src/services/fibonacci/pool/compute_signals.ts",
    import.meta.url,
  );
  const source = `
    import { getEnvironmentData, parentPort, workerData } from "node:worker_threads";
    import process from "node:process";
    import { checkpointOf } from ${JSON.stringify(signals.href)};
    const checkpoint = checkpointOf(workerData);
    const cells = getEnvironmentData("cells");
    const wait = () => Atomics.wait(cells, 2, 0);
    const exit = () => process.exit(1);
    Atomics.add(cells, 0, 1);
    ${load}
    parentPort.on("message", (n) => {
      const computations = Atomics.add(cells, 1, 1) + 1;
      try {
        const digits = new TextEncoder().encode((() => { ${compute} })());
        parentPort.postMessage({ kind: "digits", digits });
      } catch (error) {
        parentPort.postMessage({ kind: "failure", reason: String(error) });
      }
    });
    parentPort.postMessage({ kind: "ready" });
  `;
  return {
    module: new URL(`data:text/javascript,${encodeURIComponent(source)}`),
    get workers() {
      return Atomics.load(cells, 0);
    },
    get computations() {
      return Atomics.load(cells, 1);
    },
    open() {
      Atomics.store(cells, 2, 1);
      Atomics.notify(cells, 2);
    },
  };
}

async function assertCode(promise: Promise<unknown>, code: string): Promise<void> {
  const error = await assertRejects(() => promise, RpcError);
  assertEquals(error.code, code);
}

Deno.test("ComputePool: gives the digits that an inline computation gives", async () => {
  using pool = new ComputePool({ workers: 2 });
  const all = [0, 1, 93, 100_000, 1_000_000, 1_234_567];
  const options = { maxTimeMs: 60_000, signal: new AbortController().signal };
  const results = await Promise.all(all.map((n) => pool.compute(n, options)));
  assertEquals(results.map(text), all.map(fibonacciDecimal));
});

Deno.test("ComputePool: the event loop turns while a big number is computed", async () => {
  using pool = new ComputePool({ workers: 1 });
  await pool.compute(30); // Its start is not what is asked here.
  let done = false;
  const big = pool.compute(20_000_000).finally(() => done = true);
  let turns = 0;
  for (; !done; turns++) await new Promise((resolve) => setTimeout(resolve, 0));
  assert(turns > 3, `${turns} turns`);
  assertEquals((await big).length, 4_179_753);
});

Deno.test("ComputePool: starts no worker before one is needed", async () => {
  using pool = new ComputePool({ workers: 2 });
  assertEquals(pool.workers, 0);
  await pool.compute(30);
  assertEquals(pool.workers, 1);
  await pool.compute(31);
  assertEquals(pool.workers, 1);
});

Deno.test("ComputePool: computations wait for a worker in order", async () => {
  using pool = new ComputePool({ workers: 1 });
  const order: number[] = [];
  await Promise.all([5, 3, 4, 1, 2].map((n) => pool.compute(n).then(() => order.push(n))));
  assertEquals(order, [5, 3, 4, 1, 2]);
});

Deno.test("ComputePool: as many computations at once as workers, and no more", async () => {
  const shared = workerModule("wait(); return String(n)");
  using pool = new ComputePool({ workers: 2, module: shared.module });
  const results = [1, 2, 3, 4, 5].map((n) => pool.compute(n));
  await waitFor(() => shared.computations === 2, { what: "two computations" });
  assertEquals([pool.workers, pool.waiting], [2, 3]);
  shared.open();
  assertEquals((await Promise.all(results)).map(text), ["1", "2", "3", "4", "5"]);
  assertEquals([shared.workers, pool.waiting], [2, 0]);
});

Deno.test("ComputePool: an aborted signal starts nothing", async () => {
  using pool = new ComputePool({ workers: 1 });
  await assertCode(pool.compute(30, { signal: AbortSignal.abort() }), "cancelled");
  assertEquals(pool.workers, 0);
});

Deno.test("ComputePool: what is aborted while it waits is never started", async () => {
  const shared = workerModule("wait(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  const controller = new AbortController();
  const first = pool.compute(1);
  const second = pool.compute(2, { signal: controller.signal });
  const third = pool.compute(3);
  await waitFor(() => shared.computations === 1, { what: "the first computation" });
  controller.abort();
  await assertCode(second, "cancelled");
  assertEquals(pool.waiting, 1);
  shared.open();
  assertEquals((await Promise.all([first, third])).map(text), ["1", "3"]);
  assertEquals(shared.computations, 2);
});

Deno.test("ComputePool: what is aborted while it runs rejects at once, and the next one runs", async () => {
  const shared = workerModule("if (n === 1) wait(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  const controller = new AbortController();
  const first = pool.compute(1, { signal: controller.signal, maxTimeMs: 60_000 });
  await waitFor(() => shared.computations === 1, { what: "the first computation" });
  controller.abort();
  await assertCode(first, "cancelled");
  shared.open();
  assertEquals(text(await pool.compute(2)), "2");
});

Deno.test("ComputePool: what takes longer than the limit rejects, and the next one runs", async () => {
  const shared = workerModule("if (n === 1) wait(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  await assertCode(pool.compute(1, { maxTimeMs: 1 }), "resource_exhausted");
  shared.open();
  assertEquals(text(await pool.compute(2)), "2");
});

Deno.test("ComputePool: an abandoned computation keeps its place until it is over", async () => {
  const shared = workerModule("if (n < 3) wait(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  await assertCode(pool.compute(1, { maxTimeMs: 1 }), "resource_exhausted");
  await assertCode(pool.compute(2, { signal: AbortSignal.timeout(20) }), "cancelled");
  assertEquals(pool.workers, 1);
  shared.open();
  assertEquals(text(await pool.compute(3)), "3");
  assertEquals(pool.workers, 1);
});

Deno.test("ComputePool: what is given up ends at its next checkpoint, and its worker goes on", async () => {
  const shared = workerModule("while (n === 1) checkpoint(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  await assertCode(pool.compute(1, { maxTimeMs: 1 }), "resource_exhausted");
  const givenUpAt = performance.now();
  assertEquals(text(await pool.compute(2)), "2");
  await waitFor(() => performance.now() - givenUpAt > 1_100, {
    what: "the time to be over after which it would be replaced",
  });
  assertEquals(text(await pool.compute(3)), "3");
  assertEquals(shared.workers, 1);
});

Deno.test("ComputePool: what is given up ends early, and its worker computes the next one", async () => {
  await using log = await CollectedLog.start();
  using pool = new ComputePool({ workers: 1 });
  for (let i = 0; i < 2; i++) {
    await assertCode(pool.compute(80_000_000, { maxTimeMs: 1 }), "resource_exhausted");
    assertEquals(text(await pool.compute(100_000)), fibonacciDecimal(100_000));
  }
  assertEquals(log.messages(/worker is gone/), []);
});

Deno.test("ComputePool: a small call is seen by all that compute", async () => {
  const shared = workerModule("while (!Atomics.load(workerData, 1)); return String(n)");
  using pool = new ComputePool({ workers: 2, module: shared.module });
  const results = [1, 2].map((n) => pool.compute(n, { maxTimeMs: 20_000 }));
  await waitFor(() => shared.computations === 2, { what: "two computations" });
  pool.smallCall();
  assertEquals((await Promise.all(results)).map(text), ["1", "2"]);
});

Deno.test("ComputePool: a worker that hangs is replaced when its computation is given up", async () => {
  const shared = workerModule("if (n === 1) wait(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  await assertCode(pool.compute(1, { maxTimeMs: 1 }), "resource_exhausted");
  assertEquals(text(await pool.compute(2)), "2");
  assertEquals(text(await pool.compute(3)), "3"); // What was given up is not tried again.
  assertEquals([shared.workers, shared.computations], [2, 3]);
  shared.open(); // Deno can't end a worker that waits.
});

Deno.test("ComputePool: the time limit doesn't count the wait for a worker", async () => {
  const shared = workerModule("wait(); return String(n)");
  const pool = new ComputePool({ workers: 1, module: shared.module });
  const first = assertCode(pool.compute(1), "cancelled");
  await waitFor(() => shared.computations === 1, { what: "the first computation" });
  const limited = assertCode(pool.compute(2, { maxTimeMs: 1 }), "cancelled");
  // Longer than its limit, and it still waits.
  await assertCode(pool.compute(3, { signal: AbortSignal.timeout(50) }), "cancelled");
  assertEquals(pool.waiting, 1);
  pool.close();
  await Promise.all([first, limited]);
  shared.open();
});

Deno.test("ComputePool: a computation whose worker dies is done by another", async () => {
  const shared = workerModule("if (computations === 1) exit(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  assertEquals(text(await pool.compute(1)), "1");
  assertEquals([shared.workers, shared.computations, pool.workers], [2, 2, 1]);
});

Deno.test("ComputePool: a second attempt has the whole time limit for itself", async () => {
  const shared = workerModule(
    "if (computations === 1) exit(); return String(n)",
    "if (Atomics.load(cells, 0) === 2) wait();",
  );
  using pool = new ComputePool({ workers: 1, module: shared.module });
  const maxTimeMs = 1_000;
  const first = pool.compute(1, { maxTimeMs });
  await waitFor(() => shared.workers === 2, { what: "the second worker" });
  // The first attempt's time is over, and the second worker still starts.
  await assertCode(pool.compute(2, { signal: AbortSignal.timeout(maxTimeMs + 20) }), "cancelled");
  shared.open();
  assertEquals(text(await first), "1");
});

Deno.test("ComputePool: what kills two workers is an internal error, and the next one runs", async () => {
  const shared = workerModule("if (n === 1) exit(); return String(n)");
  using pool = new ComputePool({ workers: 1, module: shared.module });
  const deadly = assertCode(pool.compute(1), "internal");
  const next = pool.compute(2);
  await deadly;
  assertEquals(text(await next), "2");
  assertEquals(shared.computations, 3);
});

Deno.test("ComputePool: what can't be computed is an internal error, and its worker goes on", async () => {
  using pool = new ComputePool({ workers: 1 });
  await assertCode(pool.compute(-1), "internal");
  assertEquals(text(await pool.compute(10)), "55");
  assertEquals(pool.workers, 1);
});

Deno.test("ComputePool: computes by itself with 0 workers", async () => {
  using pool = new ComputePool({ workers: 0 });
  const controller = new AbortController();
  const results = [10, 20].map((n) => pool.compute(n));
  const aborted = pool.compute(30, { signal: controller.signal });
  controller.abort();
  await assertCode(aborted, "cancelled");
  assertEquals((await Promise.all(results)).map(text), ["55", "6765"]);
  assertEquals(pool.workers, 0);
});

Deno.test("ComputePool: computes by itself where no worker can be started, and says so once", async () => {
  await using log = await CollectedLog.start();
  const shared = workerModule("", "exit()");
  using pool = new ComputePool({ workers: 2, module: shared.module });
  const results = await Promise.all([10, 20, 30].map((n) => pool.compute(n)));
  assertEquals(results.map(text), ["55", "6765", "832040"]);
  await assertCode(pool.compute(-1), "internal");
  await waitFor(async () => text(await pool.compute(10)) === "55" && shared.workers >= 3, {
    what: "more starts to fail",
  });
  assertEquals(log.messages(/can't start/).length, 1);
});

Deno.test("ComputePool: computes by itself while no worker can be started, and tries again", async () => {
  await using log = await CollectedLog.start();
  const shared = workerModule(
    "return 'by a worker'",
    "if (Atomics.load(cells, 0) % 2 === 0) exit();",
  );
  using pool = new ComputePool({ workers: 1, idleTimeoutMs: 1, module: shared.module });
  const compute = async () => text(await pool.compute(10));
  assertEquals(await compute(), "by a worker");
  for (let failures = 1; failures <= 2; failures++) {
    await waitFor(() => pool.workers === 0, { what: "the idle worker to go" });
    assertEquals(await compute(), "55");
    assertEquals(log.messages(/can't start/).length, failures);
    await waitFor(async () => await compute() === "by a worker", { what: "another worker" });
  }
  assertEquals(shared.workers, 5);
});

Deno.test("ComputePool: needs no more permission than to read the worker's module", async () => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const folder = await Deno.makeTempDir();
  const script = `${folder}/script.ts`;
  const pool = new URL("../../../src/services/fibonacci/pool/compute_pool.ts", import.meta.url);
  await Deno.writeTextFile(
    script,
    `import { ComputePool } from ${JSON.stringify(pool.href)};
     const pool = new ComputePool({ workers: 1 });
     console.log(new TextDecoder().decode(await pool.compute(10)), pool.workers);`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", `--config=${root}deno.json`, "--no-prompt", `--allow-read=${root}`, script],
  }).output();
  await Deno.remove(folder, { recursive: true });
  assertEquals([code, text(stdout)], [0, "55 1\n"], text(stderr));
});

Deno.test("ComputePool: the worker that was used last is used first", async () => {
  const shared = workerModule(
    "if (n === 0) wait(); return String(me)",
    "const me = Atomics.load(cells, 0);",
  );
  using pool = new ComputePool({ workers: 2, module: shared.module });
  const both = [0, 0].map((n) => pool.compute(n));
  await waitFor(() => shared.computations === 2, { what: "both workers" });
  shared.open();
  await Promise.all(both);
  const last = text(await pool.compute(1));
  for (let i = 0; i < 3; i++) assertEquals(text(await pool.compute(1)), last);
});

Deno.test("ComputePool: leaves nothing at a signal that outlives the computation", async () => {
  using pool = new ComputePool({ workers: 1 });
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners += 1;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners -= 1;
    removeEventListener.apply(signal, args);
  };
  await pool.compute(10, { signal });
  await assertCode(pool.compute(-1, { signal }), "internal");
  assertEquals(listeners, 0);
});

Deno.test("ComputePool: workers go on where another can't be started, which is tried again", async () => {
  const shared = workerModule(
    "if (n === 1) wait(); return 'by a worker'",
    "if (Atomics.load(cells, 0) === 2) exit();",
  );
  using pool = new ComputePool({ workers: 2, module: shared.module });
  const busy = pool.compute(1);
  await waitFor(() => shared.computations === 1, { what: "the first computation" });
  const waiting = pool.compute(2);
  await waitFor(() => shared.workers === 2 && pool.workers === 1, { what: "a failed start" });
  assertEquals(pool.waiting, 1); // It waits for the worker, rather than being computed here.
  await waitFor(() => pool.compute(3, { signal: AbortSignal.timeout(50) }).catch(() => ""), {
    what: "another worker",
  });
  assertEquals(text(await waiting), "by a worker");
  assertEquals([shared.workers, pool.workers], [3, 2]);
  shared.open();
  await busy;
});

Deno.test("ComputePool: an idle worker goes, and another comes when it is needed", async () => {
  using pool = new ComputePool({ workers: 1, idleTimeoutMs: 1 });
  assertEquals(text(await pool.compute(10)), "55");
  await waitFor(() => pool.workers === 0, { what: "the idle worker to go" });
  assertEquals(text(await pool.compute(20)), "6765");
});

Deno.test("ComputePool: close() rejects what is computed and what waits, and later ones", async () => {
  const shared = workerModule("wait(); return String(n)");
  const pool = new ComputePool({ workers: 1, module: shared.module });
  const running = pool.compute(1);
  const waiting = pool.compute(2);
  await waitFor(() => shared.computations === 1, { what: "the first computation" });
  pool.close();
  await Promise.all([running, waiting, pool.compute(3)].map((it) => assertCode(it, "cancelled")));
  assertEquals([pool.workers, pool.waiting], [0, 0]);
  shared.open();
});

Deno.test("ComputePool: close() ends a worker that waits", async () => {
  const shared = workerModule(
    "return String(n)",
    "setInterval(() => Atomics.add(cells, 0, 1), 1);",
  );
  const pool = new ComputePool({ workers: 1, module: shared.module });
  await pool.compute(1);
  pool.close();
  let ticks = 0;
  await waitFor(() => ticks === (ticks = shared.workers), {
    what: "its timer to stand still",
    intervalMs: 1_000,
  });
});

Deno.test("ComputePool: close() while a worker starts rejects what waits for it", async () => {
  const pool = new ComputePool({ workers: 1 });
  const waiting = pool.compute(1);
  pool.close();
  await assertCode(waiting, "cancelled");
});

Deno.test("ComputePool: idle workers don't keep the process alive", async () => {
  const pool = new URL("../../../src/services/fibonacci/pool/compute_pool.ts", import.meta.url);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { ComputePool } from ${JSON.stringify(pool.href)};
       const pool = new ComputePool({ workers: 2, idleTimeoutMs: 2 ** 30 });
       console.log(new TextDecoder().decode(await pool.compute(10)), pool.workers);`,
    ],
  }).output();
  assertEquals([code, text(stdout)], [0, "55 1\n"]);
});
