/**
 * What waits in a server's queues, for Prometheus: a look at them now and then.
 *
 * @module
 */
import { Gauge, type Registry } from "prom-client";
import type { QueueInspection } from "../amqp/queue.ts";
import type { ConnectionStateChange } from "../amqp/supervisor.ts";
import { SUSPECTS_SUFFIX } from "../protocol/names.ts";

/** Looks at queues. */
export interface QueueInspector {
  readonly queues: readonly { readonly queue: string }[];
  inspect(queue: string): Promise<QueueInspection>;
  onStateChange(listener: (change: ConnectionStateChange) => void): () => void;
}

/** A look at a missing queue is an error in the broker's log, so it is rare, in milliseconds. */
const MISSING_MS = 60_000;

/** Looks at the queues until it is stopped. */
export class QueueMetrics {
  readonly #inspector: QueueInspector;
  readonly #waiting: Gauge<"queue">;
  readonly #consumers: Gauge<"queue">;
  readonly #suspects: Gauge<"queue">;
  readonly #missingAt = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isLooking = false;

  /**
   * @param registry Where the metrics go.
   * @param intervalMs How often it looks, in milliseconds.
   */
  constructor(registry: Registry, inspector: QueueInspector, intervalMs: number) {
    this.#inspector = inspector;
    const gauge = (name: string, help: string) =>
      new Gauge({
        name: `fibrpc_queue_${name}`,
        help,
        labelNames: ["queue"],
        registers: [registry],
      });
    this.#waiting = gauge("waiting", "Requests that wait in the queue.");
    this.#consumers = gauge("consumers", "Consumers of the queue, of all servers.");
    this.#suspects = gauge("suspects", "Records of redelivered requests that are under way.");
    this.#timer = setInterval(() => this.#look(), intervalMs);
    inspector.onStateChange(({ state }) => state === "connected" && this.#look());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      for (const { queue } of this.#inspector.queues) {
        const requests = await this.#inspect(queue);
        set(this.#waiting, queue, requests?.messages);
        set(this.#consumers, queue, requests?.consumers);
        const suspects = await this.#inspect(queue + SUSPECTS_SUFFIX);
        set(this.#suspects, queue, suspects?.messages);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  /** `undefined` where that can't be seen: then there is no figure. */
  async #inspect(queue: string): Promise<{ messages: number; consumers: number } | undefined> {
    const NOTHING = { messages: 0, consumers: 0 };
    const now = performance.now();
    if (now - (this.#missingAt.get(queue) ?? -Infinity) < MISSING_MS) return NOTHING;
    this.#missingAt.delete(queue);
    try {
      const found = await this.#inspector.inspect(queue);
      if (found.found === "unknown") return undefined;
      if (found.found) return found;
      this.#missingAt.set(queue, now);
      return NOTHING;
    } catch {
      return undefined; // There is no connection.
    }
  }
}

function set(gauge: Gauge<"queue">, queue: string, value: number | undefined): void {
  if (value === undefined) gauge.remove({ queue });
  else gauge.set({ queue }, value);
}
