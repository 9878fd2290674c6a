/**
 * What the programs with amqplib share.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createRequire } from "node:module";

// Not by `import`: that wouldn't look into $NODE_PATH.
const amqplib = createRequire(import.meta.url)("amqplib");

/**
 * Opens a channel on a connection of its own.
 *
 * @param {string} url
 */
export async function open(url) {
  const connection = await amqplib.connect(url, { noDelay: true });
  return { connection, channel: await connection.createChannel() };
}

/**
 * Opens a client.
 *
 * @param {import("./client.js").Place} place
 */
export async function connect({ url, queue, reply }) {
  const { connection, channel } = await open(url);
  const replyTo = reply === "direct"
    ? "amq.rabbitmq.reply-to"
    : (await channel.assertQueue("", { exclusive: true })).queue;
  const pending = new Map();
  let last = 0;
  await channel.consume(replyTo, (/** @type {any} */ message) => {
    const { correlationId } = message.properties;
    const resolve = pending.get(correlationId);
    pending.delete(correlationId);
    resolve?.(message.content.toString());
  }, { noAck: true });
  return {
    /** @param {string} n */
    call: (n) => /** @type {Promise<string>} */ (new Promise((resolve) => {
      const correlationId = String(++last);
      pending.set(correlationId, resolve);
      channel.sendToQueue(queue, Buffer.from(n), { correlationId, replyTo });
    })),
    close: () => connection.close(),
  };
}
