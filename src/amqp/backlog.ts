/**
 * A bound on what waits to be written. A broker that takes nothing, but sends
 * heartbeats, is alive to all appearance; what is sent to it meanwhile would
 * fill the memory.
 *
 * @module
 */

/** So much may wait for as long as it likes, in bytes. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** More than that may wait for so long while nothing of it leaves, in milliseconds. */
const MAX_STALL_MS = 5_000;

/** Watches what one connection writes. */
export class Backlog {
  #written = 0;
  #taken = 0;
  #takenAt = 0;

  /**
   * To be called with each write.
   *
   * @param bytes How many bytes were written.
   * @param waitingBytes How many bytes wait now, these included.
   * @param now On the clock of `performance.now()`.
   * @returns Whether the connection is of no use any more.
   */
  isStuck(bytes: number, waitingBytes: number, now = performance.now()): boolean {
    this.#written += bytes;
    const taken = this.#written - waitingBytes;
    const waitedBefore = waitingBytes - bytes;
    if (taken > this.#taken || waitedBefore <= MAX_WAITING_BYTES) this.#takenAt = now;
    this.#taken = taken;
    return now - this.#takenAt > MAX_STALL_MS;
  }
}
