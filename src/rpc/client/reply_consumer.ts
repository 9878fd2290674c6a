/**
 * What replies come in on: direct reply-to, or a queue of the client's own.
 *
 * @module
 */
import { channelError } from "../../amqp/failure.ts";
import type { Session } from "../../amqp/supervisor.ts";
import type { Channel } from "../../amqp/channel.ts";
import type { Connection } from "../../amqp/connection.ts";
import type { Delivery } from "../../amqp/message.ts";
import { DIRECT_REPLY_TO } from "../../protocol/names.ts";
import type { ReplyMode } from "./options.ts";

/** One channel for requests and their replies; a new one after each loss. */
export interface ReplyConsumer extends Session {
  /** Settles when the broker has said that replies can come, or that they can't. */
  readonly confirmed: Promise<unknown>;
  readonly connection: Connection;
  /** The channel: requests must go out on it where replies are direct. */
  readonly channel: Channel;
  readonly replyTo: string;
}

/**
 * Opens the channel and consumes replies. A request can be sent as soon as it
 * resolves: where replies are direct, that is before the broker has said a word.
 *
 * @param connection The connection.
 * @param path How replies come back.
 * @param onReply Gets each reply.
 * @param onReturn Gets each request that no queue took.
 * @throws {RpcError} `permission_denied` if this user may not declare a queue.
 */
export async function openReplyConsumer(
  connection: Connection,
  path: ReplyMode,
  onReply: (message: Delivery) => void,
  onReturn: (message: Delivery) => void,
): Promise<ReplyConsumer> {
  const channel = await connection.openChannel();
  channel.onReturn(onReturn);
  const replyTo = path === "direct" ? DIRECT_REPLY_TO : await declareReplyQueue(channel);
  const confirmed = channel.consume(replyTo, { noAck: true }, onReply);
  const ended = new Promise<Error>((resolve) => {
    channel.onEnd(resolve);
    confirmed.then((consumer) => consumer.ended).then(resolve, resolve);
  });
  // Declaring a queue can fail, and callers with many calls don't mind one round trip.
  await (path === "direct" ? channel.requested() : confirmed);
  return { connection, channel, replyTo, confirmed, ended };
}

async function declareReplyQueue(channel: Channel): Promise<string> {
  try {
    return (await channel.declareQueue("", { exclusive: true, autoDelete: true })).name;
  } catch (error) {
    throw channelError(error, "can't declare a reply queue (direct replies need no permission)");
  }
}
