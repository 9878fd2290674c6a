/** A server with rabbitmq-client. */
import { createRequire } from "node:module";
import { fibonacci } from "./fibonacci.js";
import { place, sayReady } from "./server.js";

const { Connection } = createRequire(import.meta.url)("rabbitmq-client");

const { url, queue } = place();
const channel = await new Connection({ url, noDelay: true }).acquire();
await channel.queueDeclare({ queue, durable: false });
await channel.basicQos({ prefetchCount: 256 });
await channel.basicConsume({ queue }, async (/** @type {any} */ message) => {
  const { replyTo, correlationId, deliveryTag } = message;
  const digits = String(fibonacci(Number(message.body)));
  await channel.basicPublish({ routingKey: replyTo, correlationId }, digits);
  channel.basicAck({ deliveryTag });
});
sayReady();
