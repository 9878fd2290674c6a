/**
 * A limit on log lines of one kind, for what anybody who may publish can cause.
 *
 * @module
 */

const LOG_EVERY_MS = 10_000;

/** Lets a line pass now and then; one for each kind of line. */
export class LogLimit {
  #passedAt = -Infinity;

  passes(): boolean {
    const now = performance.now();
    if (now - this.#passedAt < LOG_EVERY_MS) return false;
    this.#passedAt = now;
    return true;
  }
}
