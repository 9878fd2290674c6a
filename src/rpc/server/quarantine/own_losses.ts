/**
 * Requests that this server held when it lost a connection or a channel. The
 * broker delivers them again; this server lives, so they did not kill it.
 *
 * @module
 */
import type { ReceivedRequest } from "../request.ts";

/**
 * One that was lost so often is suspected all the same: a handler that blocks
 * its server for longer than two heartbeats loses the connection each time.
 */
const MAX_LOSSES = 10;

/** Remembers which requests were lost, the latest ones of them. */
export class OwnLosses {
  readonly #capacity: number;
  /** How often each was lost, by its key. */
  readonly #losses = new Map<string, number>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add({ key }: ReceivedRequest): void {
    const losses = this.#losses.get(key) ?? 0;
    this.#losses.delete(key); // A map is in the order of its insertions.
    this.#losses.set(key, losses + 1);
    if (this.#losses.size <= this.#capacity) return;
    const [oldest] = this.#losses.keys();
    this.#losses.delete(oldest!);
  }

  /** Whether this server lost a request before, and not too often. */
  has({ key }: ReceivedRequest): boolean {
    return (this.#losses.get(key) ?? MAX_LOSSES) < MAX_LOSSES;
  }

  /** Whether this server lost a request too often. */
  isExhausted({ key }: ReceivedRequest): boolean {
    return (this.#losses.get(key) ?? 0) >= MAX_LOSSES;
  }
}
