/** A client with our library. */
import { FibonacciClient } from "../../../mod.ts";
import { runClient } from "./client.js";

await runClient(async ({ url, queue, reply }) => {
  const client = new FibonacciClient({ url, queue, reply: reply === "queue" ? "queue" : "direct" });
  await client.connect();
  return { call: (n) => client.call(n), close: () => client.close() };
});
