/**
 * Runs tasks in order, a slice of time at a time, so that heartbeats, replies
 * and signals get their turn between expensive ones.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** How long tasks may run before everything else gets a turn, in milliseconds. */
const SLICE_MS = 5;

/** A first-in first-out queue of synchronous tasks, which must not throw. */
export class WorkQueue {
  readonly #tasks: (() => void)[] = [];
  #running = false;
  #busyMs = 0;

  /** Runs `task` now if nothing is before it and the slice isn't used up. */
  push(task: () => void): void {
    this.#tasks.push(task);
    if (this.#running) return;
    this.#running = true;
    this.#run();
  }

  readonly #run = (): void => {
    for (
      let task = this.#tasks.shift();
      task !== undefined;
      task = this.#tasks.shift()
    ) {
      const start = performance.now();
      task();
      this.#busyMs += performance.now() - start;
      if (this.#busyMs >= SLICE_MS) {
        this.#busyMs = 0;
        setImmediate(this.#run);
        return;
      }
    }
    this.#running = false;
  };
}
