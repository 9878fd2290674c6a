/**
 * The request queue: found, or declared; and looked at.
 *
 * @module
 */
import type { AMQPChannel } from "@cloudamqp/amqp-client";
import { RpcError } from "../errors.ts";
import { brokerText, REPLY_CODE, replyCodeOf } from "./connect_failure.ts";
import type { Transport } from "./transport.ts";

/**
 * How a request queue is declared that doesn't exist yet.
 *
 * - `transient`: classic, gone when the broker restarts; what the older
 *   tutorial programs declare. RabbitMQ 4.3 and later refuse it.
 * - `classic`: classic and durable.
 * - `quorum`: replicated and durable; what the newest tutorial programs declare.
 */
export type QueueType = "transient" | "classic" | "quorum";

/** Every {@linkcode QueueType}. */
export const QUEUE_TYPES: readonly QueueType[] = [
  "transient",
  "classic",
  "quorum",
];

/** What a look at a queue found. */
export type QueueInspection =
  | {
    readonly found: true;
    readonly consumers: number;
    readonly messages: number;
  }
  | { readonly found: false }
  /** The broker doesn't let this connection look. */
  | { readonly found: "unknown" };

/** Whether a queue exists, and what is going on there: one round trip. */
export async function inspectQueue(
  transport: Transport,
  queue: string,
): Promise<QueueInspection> {
  // A look that fails closes its channel, so it has one of its own.
  const channel = await transport.openChannel();
  try {
    const { consumerCount, messageCount } = await channel.queueDeclare(queue, {
      passive: true,
    });
    channel.close().catch(() => {}); // Nobody waits for it.
    return { found: true, consumers: consumerCount, messages: messageCount };
  } catch (error) {
    switch (replyCodeOf(error)) {
      case REPLY_CODE.NOT_FOUND:
        return { found: false };
      case REPLY_CODE.ACCESS_REFUSED:
      case REPLY_CODE.RESOURCE_LOCKED: // Another connection's exclusive queue.
        return { found: "unknown" };
    }
    if (!channel.closed) channel.close().catch(() => {}); // It can't even be asked.
    throw error;
  }
}

/** How often two servers that declare the same queue at once may get in each other's way. */
const RACES = 5;

/**
 * Makes sure that the request queue exists: uses it as it is if it does, else
 * declares it.
 *
 * @param wanted How to declare it.
 * @param args Its other arguments.
 * @returns `found`, or the type it was declared with: `quorum` where the
 * broker refuses transient queues.
 * @throws {RpcError} `permission_denied` if this user may not, or
 * {@linkcode TransientRefused} where the refusal cost the connection.
 */
export async function ensureQueue(
  transport: Transport,
  queue: string,
  wanted: QueueType,
  args: Record<string, unknown> = {},
): Promise<QueueType | "found"> {
  for (let attempt = 1;; attempt++) {
    const { found } = await inspectQueue(transport, queue);
    if (found === true) return "found";
    const channel = await transport.openChannel();
    try {
      await declare(channel, queue, wanted, args);
      channel.close().catch(() => {});
      return wanted;
    } catch (error) {
      const code = replyCodeOf(error);
      // Another server declared it otherwise meanwhile: look again.
      if (code === REPLY_CODE.PRECONDITION_FAILED && attempt < RACES) continue;
      if (code === REPLY_CODE.ACCESS_REFUSED) {
        // Not allowed to look nor to declare: consuming may still be allowed.
        if (found === "unknown") return "found";
        throw new RpcError("permission_denied", `can't declare ${queue}: ${brokerText(error)}`);
      }
      if (wanted === "transient" && code === REPLY_CODE.INTERNAL_ERROR) {
        throw new TransientRefused(brokerText(error));
      }
      throw error;
    }
  }
}

/** The broker refuses transient queues, by closing the connection (541): ask for `quorum` on the next one. */
export class TransientRefused extends Error {
  /** @ignore */
  override readonly name = "TransientRefused";
}

async function declare(
  channel: AMQPChannel,
  queue: string,
  type: QueueType,
  args: Record<string, unknown>,
): Promise<void> {
  await channel.queueDeclare(
    queue,
    { durable: type !== "transient", autoDelete: false, exclusive: false },
    type === "quorum" ? { ...args, "x-queue-type": "quorum" } : args,
  );
}
