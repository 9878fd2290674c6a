/**
 * A request queue, as its callers see it.
 *
 * @module
 */
import type { Connection } from "../../amqp/connection.ts";
import { inspectQueue, type QueueInspection } from "../../amqp/queue.ts";

/** What a client knows of one request queue. */
export class CalledQueue {
  readonly name: string;
  /** When the latest of the answered requests was sent, on the clock of `performance.now()`. */
  answeredSentAt = -Infinity;
  /** When it was last seen to be missing, on the same clock: all requests that were in it are lost. */
  missingAt = -Infinity;
  #inspection: Promise<QueueInspection> | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Looks at it. Who asks at the same time shares one look. */
  inspect(connection: Connection): Promise<QueueInspection> {
    this.#inspection ??= inspectQueue(connection, this.name)
      .then((found) => {
        if (found.found === false) this.missingAt = performance.now();
        return found;
      })
      .finally(() => this.#inspection = undefined);
    return this.#inspection;
  }
}
