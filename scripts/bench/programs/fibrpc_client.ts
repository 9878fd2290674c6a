/** A client with our library. */
import { FibonacciClient } from "../../../mod.ts";
import { runClient } from "./client.js";

/** W3C Trace Context's, with the lengths that they mostly have. */
const HEADERS = {
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  tracestate: "vendor=00f067aa0ba902b7",
};

await runClient(async ({ url, queue, reply, headers }) => {
  const client = new FibonacciClient({ url, queue, reply: reply === "queue" ? "queue" : "direct" });
  await client.connect();
  const options = headers ? { headers: HEADERS } : undefined;
  return { call: (n) => client.call(n, options), close: () => client.close() };
});
