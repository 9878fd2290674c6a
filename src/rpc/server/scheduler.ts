/**
 * Runs tasks in order, a slice of time at a time, so that heartbeats, replies
 * and signals get their turn between expensive ones.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** How long tasks may run before everything else gets a turn, in milliseconds. */
const SLICE_MS = 5;

/** For how long others wait for a task that wants to be alone, before it and beside it, in milliseconds. */
const PATIENCE_MS = 1_000;

/** Work on one request; it must not throw, and the promise must not reject. */
export type Task = () => void | Promise<void>;

/** A first-in first-out queue of tasks; those that return a promise overlap. */
export class RequestScheduler {
  readonly #tasks: Task[] = [];
  #scheduled = false;
  #busyMs = 0;
  readonly #concurrency: number;
  #inFlight = 0;
  #isPaused = false;
  #onIdle: () => void = () => {};

  constructor(concurrency = Infinity) {
    this.#concurrency = concurrency;
  }

  /** Runs `task` now if nothing is before it and the slice isn't used up. */
  push(task: Task): void {
    this.#tasks.push(task);
    this.#schedule();
  }

  /** Runs `task` when nothing else is under way; the others wait until it has ended. One at a time. */
  async alone(task: () => Promise<void>): Promise<void> {
    this.#isPaused = true;
    try {
      if (this.#inFlight > 0) {
        const idle = Promise.withResolvers<void>();
        this.#onIdle = idle.resolve;
        const timer = setTimeout(idle.resolve, PATIENCE_MS);
        await idle.promise;
        clearTimeout(timer);
      }
      const timer = setTimeout(() => this.#resume(), PATIENCE_MS);
      try {
        await task();
      } finally {
        clearTimeout(timer);
      }
    } finally {
      this.#resume();
    }
  }

  #resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#run();
  }

  readonly #run = (): void => {
    let start = performance.now();
    while (this.#tasks.length > 0 && !this.#isPaused && this.#inFlight < this.#concurrency) {
      this.#begin(this.#tasks.shift()!);
      const now = performance.now();
      this.#busyMs += now - start;
      start = now;
      if (this.#busyMs >= SLICE_MS) {
        this.#busyMs = 0;
        setImmediate(this.#run);
        return;
      }
    }
    this.#scheduled = false;
  };

  #begin(task: Task): void {
    const ended = task();
    if (ended === undefined) return;
    this.#inFlight += 1;
    ended.then(() => {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#onIdle();
      this.#schedule();
    });
  }
}
