/**
 * Whether a server may publish replies, and what the broker's direct reply-to
 * addresses are like: seen before it takes requests, which would wait in vain
 * otherwise.
 *
 * @module
 */
import type { BrokerUrl } from "../../../amqp/broker_url.ts";
import { channelError } from "../../../amqp/failure.ts";
import { Connection, type ConnectionOptions } from "../../../amqp/connection.ts";
import { DIRECT_REPLY_TO } from "../../../protocol/names.ts";

/**
 * Publishes a message that no queue takes, on a connection of its own: while an
 * alarm lasts, the broker reads nothing after a message. It comes back with
 * the address that the broker made of its `reply_to`. What can't be seen, for
 * an alarm or for want of a second connection, counts as permitted.
 *
 * @param timeoutMs For all of it, in milliseconds.
 * @param signal Gives up early.
 * @returns A direct reply-to address of this broker; `undefined` if it gives none.
 * @throws {RpcError} `permission_denied` if this user may not.
 */
export async function ensureReplyPermission(
  broker: BrokerUrl,
  options: ConnectionOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = performance.now() + timeoutMs;
  const connection = await Connection.open(broker, options, timeoutMs, signal).catch(() =>
    undefined
  );
  if (connection === undefined) return undefined;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    connection.destroy(new Error("no answer"));
  }, end - performance.now());
  try {
    return await publishNowhere(connection);
  } catch (error) {
    if (isLate) return undefined;
    throw channelError(error, "can't publish replies");
  } finally {
    clearTimeout(timer);
    if (connection.blocked === undefined) await connection.close();
    else connection.destroy(new Error("an alarm")); // A blocked connection does not answer connection.close.
  }
}

/** @returns The address that the message came back with. */
async function publishNowhere(connection: Connection): Promise<string | undefined> {
  let channel = await connection.openChannel();
  const consuming = channel.consume(DIRECT_REPLY_TO, { noAck: true }, () => {});
  const isDirect = await consuming.then(() => true, () => false);
  if (!isDirect) channel = await connection.openChannel(); // The refusal closed it.
  let address: string | undefined;
  channel.onReturn(({ properties }) => address = properties.replyTo);
  // Without the permission it costs the channel, as a reply would.
  if (connection.blocked === undefined) {
    channel.publish("", "", isDirect ? { replyTo: DIRECT_REPLY_TO } : {}, true);
  }
  const answer = channel.qos(1);
  answer.catch(() => {}); // After the race.
  await Promise.race([answer, connection.whenBlocked]);
  return address;
}
