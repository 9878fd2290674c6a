/**
 * The tutorials' older kind of queue, which RabbitMQ from 4.3 on refuses by closing the connection.
 *
 * @module
 */
import { AMQPClient } from "@cloudamqp/amqp-client";

const answers = new Map<string, Promise<boolean>>();

/** Whether a broker lets anybody declare transient queues, as it was when it was first asked. */
export function permitsTransientQueues(url: string): Promise<boolean> {
  const answer = answers.get(url) ?? ask(url);
  answers.set(url, answer);
  return answer;
}

async function ask(url: string): Promise<boolean> {
  const client = new AMQPClient(url);
  client.onerror = () => {};
  await client.connect();
  const channel = await client.channel();
  channel.onerror = () => {};
  const queue = `transient-${crypto.randomUUID()}`;
  try {
    await channel.queueDeclare(queue, { durable: false, autoDelete: false });
  } catch (error) {
    if (/transient_nonexcl_queues/.test(String(error))) return false;
    throw error;
  }
  await channel.queueDelete(queue);
  await client.close();
  return true;
}
