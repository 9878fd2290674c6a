/**
 * The request queue: found, or declared; and looked at.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { brokerText, REPLY_CODE, replyCodeOf } from "./failure.ts";
import type { Connection } from "./connection.ts";

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

/** A queue that exists. */
export interface QueueState {
  /** It exists. */
  readonly found: true;
  /** How many consumers it has. */
  readonly consumers: number;
  /** How many messages wait in it: those that were delivered and not acknowledged don't count. */
  readonly messages: number;
}

/** What a look at a queue finds. */
export type QueueInspection =
  | QueueState
  | { readonly found: false }
  /** The broker doesn't let this connection look. */
  | { readonly found: "unknown" };

/** Whether a queue exists, and what is going on there: one round trip. */
export async function inspectQueue(
  connection: Connection,
  queue: string,
): Promise<QueueInspection> {
  // A look that fails closes its channel, so it has one of its own.
  const channel = await connection.openChannel();
  try {
    const { consumerCount, messageCount } = await channel.declareQueue(queue, { passive: true });
    channel.close();
    return { found: true, consumers: consumerCount, messages: messageCount };
  } catch (error) {
    switch (replyCodeOf(error)) {
      case REPLY_CODE.NOT_FOUND:
        return { found: false };
      case REPLY_CODE.ACCESS_REFUSED:
      case REPLY_CODE.RESOURCE_LOCKED: // Another connection's exclusive queue.
        return { found: "unknown" };
    }
    channel.close(); // It can't even be asked.
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
 * @returns `found`, or the type it was declared with: `quorum` where the
 * broker refuses transient queues.
 * @throws {RpcError} `permission_denied` if this user may not, or
 * {@linkcode TransientRefused} where the refusal cost the connection.
 */
export async function ensureQueue(
  connection: Connection,
  queue: string,
  wanted: QueueType,
): Promise<QueueType | "found"> {
  for (let attempt = 1;; attempt++) {
    const { found } = await inspectQueue(connection, queue);
    if (found === true) return "found";
    try {
      await declare(connection, queue, wanted);
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

/**
 * The broker refuses transient queues, by closing the connection (541): ask for
 * `quorum` on the next one, which a supervised connection makes at once.
 */
export class TransientRefused extends Error {
  /** @ignore */
  override readonly name = "TransientRefused";
}

/**
 * Declares a queue that the broker removes when it isn't used, and tells what
 * is in it. Declaring it again renews its time; a look does that for classic
 * queues only (seen with RabbitMQ 3.10), and one at a missing queue is an error
 * in the broker's log.
 *
 * @param expiresMs After so long without use, in milliseconds.
 * @returns `undefined` if it is declared otherwise, or this user may not.
 */
export async function declareExpiringQueue(
  connection: Connection,
  queue: string,
  type: QueueType,
  expiresMs: number,
): Promise<QueueState | undefined> {
  try {
    return await declare(connection, queue, type, { "x-expires": expiresMs });
  } catch (error) {
    switch (replyCodeOf(error)) {
      case REPLY_CODE.ACCESS_REFUSED:
      case REPLY_CODE.RESOURCE_LOCKED:
      case REPLY_CODE.PRECONDITION_FAILED:
        return undefined;
    }
    throw error;
  }
}

async function declare(
  connection: Connection,
  queue: string,
  type: QueueType,
  args: Record<string, unknown> = {},
): Promise<QueueState> {
  // A refusal closes its channel, so it has one of its own.
  const channel = await connection.openChannel();
  const { consumerCount, messageCount } = await channel.declareQueue(
    queue,
    { durable: type !== "transient", autoDelete: false, exclusive: false },
    type === "quorum" ? { ...args, "x-queue-type": "quorum" } : args,
  );
  channel.close();
  return { found: true, consumers: consumerCount, messages: messageCount };
}
