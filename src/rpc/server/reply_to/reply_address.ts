/**
 * Which reply addresses a server may publish to.
 *
 * @module
 */
import { DIRECT_REPLY_TO } from "../../../protocol/names.ts";
import type { ReceivedRequest } from "../request.ts";

/** Names that begin so belong to the broker. */
const RESERVED_PREFIX = "amq.";

/** Reserved names that are reply addresses: direct reply-to, and queues the broker named. */
const RESERVED_REPLY_PREFIXES = [`${DIRECT_REPLY_TO}.`, "amq.gen-"];

/**
 * Why a request can't be answered, as far as its properties show.
 *
 * @param request What came.
 * @param ownQueues Queues it may have been taken from: a reply there would come back as a request.
 * @param isAllowed Its owner's rule, on top.
 * @returns `undefined` if it can.
 */
export function whyUnanswerable(
  request: ReceivedRequest,
  ownQueues: ReadonlySet<string>,
  isAllowed: (replyTo: string) => boolean,
): string | undefined {
  const { replyTo } = request;
  if (replyTo === "") return "no reply_to";
  if (ownQueues.has(replyTo)) return "its reply_to is the request queue";
  // RabbitMQ refuses to declare a queue of such a name, by closing the connection.
  if (!replyTo.isWellFormed()) return "its reply_to is not UTF-8";
  const isReserved = replyTo.startsWith(RESERVED_PREFIX);
  if (isReserved && !RESERVED_REPLY_PREFIXES.some((prefix) => replyTo.startsWith(prefix))) {
    return "its reply_to has the broker's prefix and is no reply address";
  }
  if (!isAllowed(replyTo)) return "its reply_to is not allowed";
  return undefined;
}
