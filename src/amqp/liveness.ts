/**
 * Heartbeats: proof of life to the broker, and a clock of when it was last
 * heard. AMQP 0-9-1, section 4.2.7: any traffic counts, and a peer that was
 * not heard for two intervals is gone.
 *
 * @module
 */

/** Watches one connection. */
export class Liveness {
  readonly #sendHeartbeat: () => void;
  readonly #onDead: (reason: Error) => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #receivedSinceTick = true;
  #sentSinceTick = true;
  #silentTicks = 0;
  #lastTick = 0;

  /**
   * @param sendHeartbeat Sends a heartbeat frame.
   * @param onDead Told once when the peer counts as gone.
   */
  constructor(sendHeartbeat: () => void, onDead: (reason: Error) => void) {
    this.#sendHeartbeat = sendHeartbeat;
    this.#onDead = onDead;
  }

  /** @param intervalMs The heartbeat agreed on, in milliseconds; 0 for none. */
  start(intervalMs: number): void {
    if (intervalMs === 0) return;
    const tickMs = intervalMs / 2;
    this.#lastTick = performance.now();
    this.#timer = setInterval(() => this.#tick(tickMs, intervalMs), tickMs);
  }

  /** Ends the watch. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Something came. */
  received(): void {
    this.#receivedSinceTick = true;
  }

  /** Something was sent. */
  sent(): void {
    this.#sentSinceTick = true;
  }

  #tick(tickMs: number, intervalMs: number): void {
    if (!this.#sentSinceTick) this.#sendHeartbeat();
    this.#sentSinceTick = false;
    const now = performance.now();
    const late = now - this.#lastTick > tickMs * 2;
    this.#lastTick = now;
    if (this.#receivedSinceTick || late) {
      // A late tick means that this process stood still (stopped, or busy):
      // what came meanwhile waits in the socket, so the silence was ours.
      this.#receivedSinceTick = false;
      this.#silentTicks = 0;
      return;
    }
    this.#silentTicks += 1;
    if (this.#silentTicks < 4) return;
    this.stop();
    this.#onDead(
      new Error(
        `heartbeats missed: nothing came for ${intervalMs * 2 / 1000} s`,
      ),
    );
  }
}
