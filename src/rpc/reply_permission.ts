/**
 * Whether a server may publish replies: seen before it takes requests, which
 * would wait in vain otherwise.
 *
 * @module
 */
import type { BrokerUrl } from "../amqp/broker_url.ts";
import { channelError } from "../amqp/connect_failure.ts";
import { Transport, type TransportOptions } from "../amqp/transport.ts";

/**
 * Publishes a message that goes nowhere, on a connection of its own: while an
 * alarm lasts, the broker reads nothing after a message. What can't be seen,
 * for an alarm or for want of a second connection, counts as permitted.
 *
 * @param timeoutMs For connecting, in milliseconds.
 * @param signal Gives up early.
 * @throws {RpcError} `permission_denied` if this user may not.
 */
export async function ensureReplyPermission(
  broker: BrokerUrl,
  options: TransportOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const transport = await Transport.open(broker, options, timeoutMs, signal).catch(() => undefined);
  if (transport === undefined) return;
  try {
    const channel = await transport.openChannel();
    // Without the permission it costs the channel, as a reply would.
    channel.basicPublish("", "", "").catch(() => {});
    const answer = channel.basicQos(1);
    answer.catch(() => {}); // After the race.
    await Promise.race([answer, transport.firstBlocked]);
  } catch (error) {
    throw channelError(error, "can't publish replies");
  } finally {
    if (transport.blocked === undefined) await transport.close();
    else transport.destroy(new Error("an alarm")); // It would not hear a goodbye.
  }
}
