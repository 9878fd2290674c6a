/**
 * Computes big Fibonacci numbers on other threads, so that heartbeats, small
 * calls and signals don't wait for them, and so that they can be given up.
 *
 * @module
 */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../../../errors.ts";
import { ComputeThread } from "./compute_thread.ts";
import type { ComputeResult } from "./compute_worker.ts";
import { fibonacciDigits } from "../math/decimal.ts";

const logger = getLogger(["fibrpc", "compute"]);

/**
 * From this n on, a computation is one for the pool.
 *
 * The way to a worker and back takes 20 us on Deno 2.9 and Node 20 and 11 us
 * on Bun 1.4, whatever n. F(100,000) takes 0.23 to 0.32 ms, so that the way
 * adds less than a tenth, and on a processor a third as fast the event loop
 * is still held up for no more than a millisecond by a smaller n. (2 cores;
 * `deno bench -A tests/fibonacci/compute_pool_bench.ts`.)
 */
export const MIN_POOL_N = 100_000;

/** How often a computation whose worker dies is started, in all. */
const MAX_ATTEMPTS = 2;

/**
 * How soon another worker is tried after one that could not be started, in
 * milliseconds: what the system was short of may be there again.
 */
const START_AGAIN_MS = 1_000;

/** Settings of a {@linkcode ComputePool}. */
export interface ComputePoolOptions {
  /**
   * How many workers there are, at most. They are started when they are
   * needed, one after the other: an idle one takes 5 to 20 MB, and one that
   * computes F(8 * 10^7) some 200 MB. 0: everything is computed on the thread
   * that the pool is on, which can't be given up once it is started.
   *
   * @default navigator.hardwareConcurrency
   */
  readonly workers?: number | undefined;
  /**
   * How long a worker stays without work, in milliseconds.
   *
   * @default 30000
   */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * The module that workers run, for tests.
   *
   * @default compute_worker.ts
   */
  readonly module?: URL | undefined;
}

/** Limits of one computation. */
export interface ComputeOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * How long it may take, in milliseconds, up to 2^31 - 1. Neither the wait
   * for a worker nor the start of one counts.
   *
   * @default undefined: as long as it takes
   */
  readonly maxTimeMs?: number | undefined;
}

/** A computation that was asked for and has no result yet. */
interface Job {
  readonly n: number;
  readonly maxTimeMs: number | undefined;
  readonly resolve: (digits: Uint8Array) => void;
  readonly reject: (error: RpcError) => void;
  attempts: number;
  timer?: ReturnType<typeof setTimeout>;
}

/**
 * A pool of workers, in front of which computations wait in order.
 *
 * While no worker can be started (no permission to read its module, a bundle
 * that was made without it, a system that is short of threads), the pool goes
 * on with those that it has, or as if it had 0 workers, and logs why once.
 */
export class ComputePool implements Disposable {
  readonly #idleTimeoutMs: number;
  readonly #module: URL | undefined;
  readonly #queue = new Set<Job>();
  readonly #threads = new Set<ComputeThread>();
  /** What each busy thread computes; `undefined` if nobody wants it any more. */
  readonly #busy = new Map<ComputeThread, Job | undefined>();
  /** The one that was used last is used first, so that the others time out. */
  readonly #idle = new Map<ComputeThread, ReturnType<typeof setTimeout>>();
  readonly #maxThreads: number;
  #starting: ComputeThread | undefined;
  /** When the latest start failed, if it did. */
  #failedAt: number | undefined;
  #computing = false;
  #closed = false;

  constructor(options: ComputePoolOptions = {}) {
    const {
      workers = globalThis.navigator?.hardwareConcurrency ?? 1,
      idleTimeoutMs = 30_000,
      module,
    } = options;
    this.#maxThreads = workers;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#module = module;
  }

  /** How many workers there can be. */
  get maxWorkers(): number {
    return this.#maxThreads;
  }

  get workers(): number {
    return this.#threads.size;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Computes F(n) on another thread.
   *
   * @param n A non-negative integer.
   * @param options Limits.
   * @returns The digits, in ASCII.
   * @throws {RpcError} `resource_exhausted` after `maxTimeMs`; `cancelled` if
   * `signal` aborts or the pool is closed; `internal` for what else goes wrong.
   */
  async compute(n: number, { signal, maxTimeMs }: ComputeOptions = {}): Promise<Uint8Array> {
    if (this.#closed) throw closed();
    if (signal?.aborted) throw givenUp(n, signal);
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Uint8Array>((resolve, reject) => {
        const job: Job = { n, maxTimeMs, resolve, reject, attempts: 0 };
        onAbort = () => this.#giveUp(job, givenUp(n, signal!));
        signal?.addEventListener("abort", onAbort, { once: true });
        this.#queue.add(job);
        this.#next();
      });
    } finally {
      signal?.removeEventListener("abort", onAbort!);
    }
  }

  /** Says that a small call was answered: those under way make room for more of them. */
  smallCall(): void {
    for (const thread of this.#busy.keys()) thread.smallCall();
  }

  /** Ends all workers and rejects what isn't computed yet with `cancelled`. */
  close(): void {
    this.#closed = true;
    for (const job of [...this.#queue, ...this.#busy.values()]) {
      if (job !== undefined) this.#giveUp(job, closed());
    }
    for (const timer of this.#idle.values()) clearTimeout(timer);
    for (const thread of this.#threads) thread.close();
    this.#threads.clear();
    this.#busy.clear();
    this.#idle.clear();
  }

  /** The same as {@linkcode ComputePool.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Gives the waiting computations to idle workers, and starts a worker if that's not enough. */
  #next(): void {
    for (const thread of [...this.#idle.keys()].reverse()) {
      const [job] = this.#queue;
      if (job === undefined) return;
      this.#run(thread, job);
    }
    // One at a time: on Deno each holds up the event loop for some 25 ms.
    if (this.#queue.size === 0 || this.#starting !== undefined) return;
    if (this.#threads.size < this.#maxThreads && this.#mayStart()) this.#start();
    else if (this.#threads.size === 0) this.#computeHere();
  }

  #mayStart(): boolean {
    return this.#failedAt === undefined || performance.now() - this.#failedAt >= START_AGAIN_MS;
  }

  #start(): void {
    try {
      this.#starting = new ComputeThread({
        onReady: (thread) => {
          this.#starting = undefined;
          this.#failedAt = undefined;
          this.#rest(thread);
        },
        onResult: (thread, result) => this.#onResult(thread, result),
        onGone: (thread, reason) => this.#onGone(thread, reason),
      }, this.#module);
      this.#threads.add(this.#starting);
    } catch (error) {
      this.#onStartFailure(error as Error);
    }
  }

  #onStartFailure(error: Error): void {
    const isFirst = this.#failedAt === undefined;
    this.#failedAt = performance.now();
    if (isFirst) {
      const text = this.#threads.size > 0
        ? "can't start another worker; {workers} go on: {error}"
        : "can't start a worker; big numbers hold up everything else while they are computed: {error}";
      logger.warn(text, { workers: this.#threads.size, error: error.message });
    }
    this.#next();
  }

  #run(thread: ComputeThread, job: Job): void {
    clearTimeout(this.#idle.get(thread));
    this.#idle.delete(thread);
    this.#queue.delete(job);
    this.#busy.set(thread, job);
    job.attempts += 1;
    if (job.maxTimeMs !== undefined) {
      job.timer = setTimeout(() => this.#giveUp(job, tookTooLong(job)), job.maxTimeMs);
    }
    thread.run(job.n);
  }

  /** Rejects a job, whether it waits or is under way. */
  #giveUp(job: Job, error: RpcError): void {
    clearTimeout(job.timer);
    job.reject(error);
    if (this.#queue.delete(job)) return;
    for (const [thread, running] of this.#busy) {
      if (running !== job) continue;
      // It stays busy until it says otherwise.
      this.#busy.set(thread, undefined);
      thread.abandon();
    }
  }

  #onResult(thread: ComputeThread, result: ComputeResult): void {
    const job = this.#busy.get(thread);
    this.#busy.delete(thread);
    clearTimeout(job?.timer);
    if (result.kind === "digits") job?.resolve(result.digits);
    else job?.reject(failed(job.n, result.reason));
    this.#rest(thread);
  }

  #rest(thread: ComputeThread): void {
    const timer = setTimeout(() => {
      this.#idle.delete(thread);
      this.#threads.delete(thread);
      thread.close();
    }, this.#idleTimeoutMs);
    timer.unref();
    this.#idle.set(thread, timer);
    this.#next();
  }

  #onGone(thread: ComputeThread, reason: Error): void {
    this.#threads.delete(thread);
    if (this.#starting === thread) {
      this.#starting = undefined;
      this.#onStartFailure(reason);
      return;
    }
    logger.warn("a worker is gone: {reason}", { reason: reason.message });
    clearTimeout(this.#idle.get(thread));
    this.#idle.delete(thread);
    const job = this.#busy.get(thread);
    this.#busy.delete(thread);
    if (job !== undefined) {
      clearTimeout(job.timer);
      if (job.attempts < MAX_ATTEMPTS) this.#queue.add(job);
      else job.reject(failed(job.n, `its worker died ${MAX_ATTEMPTS} times`, reason));
    }
    this.#next();
  }

  /** Computes on this thread, with a turn for everything else after each. */
  #computeHere(): void {
    if (this.#computing) return;
    this.#computing = true;
    setImmediate(() => {
      this.#computing = false;
      const [job] = this.#queue;
      if (job === undefined) return;
      this.#queue.delete(job);
      try {
        job.resolve(fibonacciDigits(job.n));
      } catch (error) {
        job.reject(failed(job.n, String(error)));
      }
      this.#next();
    });
  }
}

function closed(): RpcError {
  return new RpcError("cancelled", "the server was closed");
}

function givenUp(n: number, signal: AbortSignal): RpcError {
  return new RpcError("cancelled", `fib(${n}) was given up`, { cause: signal.reason });
}

function tookTooLong({ n, maxTimeMs }: Job): RpcError {
  return new RpcError(
    "resource_exhausted",
    `fib(${n}) took longer than this server allows (${maxTimeMs} ms)`,
  );
}

/** The reason goes to the log, not to the caller. */
function failed(n: number, reason: string, cause?: Error): RpcError {
  logger.error("fib({n}) could not be computed: {reason}{cause}", {
    n,
    reason,
    cause: cause === undefined ? "" : ` (${cause.message})`,
  });
  return new RpcError("internal", `the server failed to compute fib(${n}); its log says why`);
}
