/** A server with amqplib. */
import { Buffer } from "node:buffer";
import { open } from "./amqplib.js";
import { fibonacci } from "./fibonacci.js";
import { place, sayReady } from "./server.js";

const { url, queue } = place();
const { channel } = await open(url);
await channel.assertQueue(queue, { durable: false });
await channel.prefetch(256);
await channel.consume(queue, (/** @type {any} */ message) => {
  const { replyTo, correlationId } = message.properties;
  const digits = String(fibonacci(Number(message.content.toString())));
  channel.sendToQueue(replyTo, Buffer.from(digits), { correlationId });
  channel.ack(message);
});
sayReady();
