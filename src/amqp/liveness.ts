/**
 * Heartbeats: proof of life to the broker, and a clock of when it was last
 * heard. AMQP 0-9-1, section 4.2.7: any traffic counts, and a peer that was
 * not heard for two intervals is gone.
 *
 * @module
 */

export class Liveness {
  readonly #sendHeartbeat: () => void;
  readonly #onDead: (reason: Error) => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #receivedAt = 0;
  #sentSinceTick = true;
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
    this.#lastTick = this.#receivedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(tickMs, intervalMs), tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  received(): void {
    this.#receivedAt = performance.now();
  }

  /** When something came last, on the clock of `performance.now()`. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  sent(): void {
    this.#sentSinceTick = true;
  }

  #tick(tickMs: number, intervalMs: number): void {
    if (!this.#sentSinceTick) this.#sendHeartbeat();
    this.#sentSinceTick = false;
    const now = performance.now();
    const stoodStill = now - this.#lastTick > tickMs * 2;
    this.#lastTick = now;
    // This process was stopped, or busy: what came meanwhile waits in the
    // socket, so the silence was ours.
    if (stoodStill) this.#receivedAt = now;
    if (now - this.#receivedAt < intervalMs * 2) return;
    this.stop();
    this.#onDead(
      new Error(`heartbeats missed: nothing came for ${intervalMs * 2 / 1000} s`),
    );
  }
}
