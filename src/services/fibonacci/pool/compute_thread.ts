/**
 * One worker of the compute pool, seen from outside: where its module is on
 * each runtime, what it says, and how it ends.
 *
 * @module
 */
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import type { Worker } from "node:worker_threads";
import { ComputeSignals } from "./compute_signals.ts";
import type { ComputeReply, ComputeResult } from "./compute_worker.ts";

/**
 * How long a computation that was given up may go on, in milliseconds, before
 * its worker is. A checkpoint ends it after a fraction of one; what has none
 * (see `fibonacciDigits`) may be done in that time, and what hangs never is. On
 * Deno (2.9) that still takes a processor: its `terminate()` only closes a
 * worker's ports (https://github.com/denoland/deno/pull/35657).
 */
const GIVE_UP_LIMIT_MS = 1000;

/** How many files a worker opens: 6 on Deno 2.9, 2 on Bun 1.4. */
const MAX_WORKER_FILES = 8;

/** Is called with what a {@linkcode ComputeThread} does. */
export interface ComputeThreadEvents {
  /** It takes numbers from now on. */
  onReady(thread: ComputeThread): void;
  /** The result of the number it was given last, wanted or not. */
  onResult(thread: ComputeThread, result: ComputeResult): void;
  /** It is gone, by itself or stopped. Called exactly once, as the last event. */
  onGone(thread: ComputeThread, reason: Error): void;
}

/**
 * A worker that computes one number at a time. It keeps the process alive
 * while it starts and while it computes, and not while it waits.
 */
export class ComputeThread {
  readonly #worker: Worker;
  readonly #events: ComputeThreadEvents;
  readonly #signals = new ComputeSignals();
  #giveUpTimer: ReturnType<typeof setTimeout> | undefined;
  #gone = false;

  /**
   * Starts a worker. That takes 20 to 30 ms until it is ready (3 to 10 with
   * Bun), of which Deno holds up the caller for most.
   *
   * @param events Is called with what happens.
   * @param module What the worker runs.
   * @throws Where the runtime can't start it, such as without the permission to read the module,
   * and where the process has too many open files for it.
   */
  constructor(events: ComputeThreadEvents, module: URL = computeWorkerModule()) {
    this.#events = events;
    checkOpenFiles();
    // Not imported: a bundle loads its imports before its first line, and a call needs none of this.
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    this.#worker = new Worker(module, { workerData: this.#signals.cells });
    this.#worker
      .on("message", (reply: ComputeReply) => this.#onReply(reply))
      .on("messageerror", (error) => this.#end(error))
      .on("error", (error) => this.#end(error))
      .on("exit", (code) => this.#end(new Error(`the worker ended with exit code ${code}`)));
  }

  /** Computes F(n); the last result must have come. */
  run(n: number): void {
    this.#signals.reset();
    this.#worker.ref();
    this.#worker.postMessage(n);
  }

  /** Gives up a computation: its result still comes, whatever it is, or the worker goes. */
  abandon(): void {
    this.#signals.giveUp();
    this.#giveUpTimer = setTimeout(
      () => this.#end(new Error(`the worker went on for ${GIVE_UP_LIMIT_MS} ms`)),
      GIVE_UP_LIMIT_MS,
    );
  }

  /** Says that there was a small call, for which a computation is to make room. */
  smallCall(): void {
    this.#signals.smallCall();
  }

  /** Ends the worker; no event follows. */
  close(): void {
    this.#gone = true;
    clearTimeout(this.#giveUpTimer);
    void this.#worker.terminate();
  }

  #onReply(reply: ComputeReply): void {
    if (this.#gone) return;
    clearTimeout(this.#giveUpTimer);
    // Deno counts these: one for the constructor and for each run.
    this.#worker.unref();
    if (reply.kind === "ready") this.#events.onReady(this);
    else this.#events.onResult(this, reply);
  }

  #end(reason: unknown): void {
    if (this.#gone) return;
    this.close(); // After a "messageerror" it still runs.
    this.#events.onGone(this, reason instanceof Error ? reason : new Error(String(reason)));
  }
}

/**
 * The module beside this one. In an executable and in a bundle it is a bundle
 * of its own, `compute_worker.js`, beside the one that this is part of.
 */
function computeWorkerModule(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const module = new URL(`./compute_worker.${extension}`, import.meta.url);
  if (module.protocol === "file:") return module;
  // From a registry, on Deno, whose node:worker_threads takes files and data only.
  const source = `import ${JSON.stringify(module.href)};`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/**
 * Whether the process may open as many files as a worker needs: without them
 * Deno (2.9) and Bun (1.4) end the whole process.
 *
 * @throws The system's error.
 */
function checkOpenFiles(): void {
  const { closeSync, openSync } = process.getBuiltinModule("node:fs");
  const { devNull } = process.getBuiltinModule("node:os");
  const files: number[] = [];
  try {
    while (files.length < MAX_WORKER_FILES) files.push(openSync(devNull, "r"));
  } catch (error) {
    // Without the permission to read there is no saying.
    if (/EMFILE|ENFILE/.test(String((error as { code?: unknown }).code))) throw error;
  } finally {
    for (const file of files) closeSync(file);
  }
}
