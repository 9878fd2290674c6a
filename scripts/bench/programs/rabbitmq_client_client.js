/** A client with rabbitmq-client, on a channel: its `RPCClient` takes longer for a call. */
import { createRequire } from "node:module";
import { runClient } from "./client.js";

const { Connection } = createRequire(import.meta.url)("rabbitmq-client");

await runClient(async ({ url, queue, reply }) => {
  const connection = new Connection({ url, noDelay: true });
  const channel = await connection.acquire();
  const replyTo = reply === "direct"
    ? "amq.rabbitmq.reply-to"
    : (await channel.queueDeclare({ exclusive: true })).queue;
  const pending = new Map();
  let last = 0;
  await channel.basicConsume({ queue: replyTo, noAck: true }, (/** @type {any} */ message) => {
    const resolve = pending.get(message.correlationId);
    pending.delete(message.correlationId);
    resolve?.(String(message.body));
  });
  return {
    call: (n) =>
      new Promise((resolve, reject) => {
        const correlationId = String(++last);
        pending.set(correlationId, resolve);
        channel.basicPublish({ routingKey: queue, correlationId, replyTo }, n).catch(reject);
      }),
    async close() {
      await channel.close();
      await connection.close();
    },
  };
});
