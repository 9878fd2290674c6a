/**
 * What a look at a request queue says of its servers.
 *
 * @module
 */
import type { QueueInspection } from "../amqp/queue.ts";
import { count } from "../text.ts";

/**
 * Counts and a conclusion, such as `1 consumer, 0 waiting: a server has it`.
 *
 * @param patience How long a caller has waited, if one has.
 * @returns `undefined` where nothing could be seen.
 */
export function diagnose(queue: QueueInspection, patience?: string): string | undefined {
  if (queue.found === "unknown") return undefined;
  if (!queue.found) return "the queue is gone: no server is there to declare it";
  const { consumers, messages } = queue;
  const counts = `${count(consumers, "consumer")}, ${messages} waiting`;
  if (consumers === 0) return `${counts}: no server is running`;
  if (messages > 0) return `${counts}: the servers are busy with earlier requests, or hung`;
  if (patience === undefined) return counts;
  // Policies (a length limit, a time to live) drop messages, and nothing tells a client of it.
  return `${counts}: a server has it (busy, hung, or slower than ${patience}), or a policy of the ` +
    "queue dropped it";
}
