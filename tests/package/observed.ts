/** A program with metrics and traces, on whatever runtime; it prints what they hold. */
import { RpcClient } from "@fibrpc/fibrpc/client";
import { ServerMetrics } from "@fibrpc/fibrpc/metrics";
import { RpcError, RpcServer, type Service, text } from "@fibrpc/fibrpc/server";
import { traceCalls, traceRequests } from "@fibrpc/fibrpc/tracing";
import process from "node:process";

const print = (line: string) => process.stdout.write(`${line}\n`);

const { BROKER: url = "", QUEUE: queue = "", OTEL_DENO } = process.env;

// Deno has an SDK of its own.
const provider = OTEL_DENO === undefined ? await import("./node_sdk.ts") : undefined;

const shout: Service<string, string> = { queue, input: text, output: text };
const metrics = new ServerMetrics();
const server = new RpcServer({ url, observer: metrics, interceptors: [traceRequests()] });
const inner = new RpcClient({ url, interceptors: [traceCalls()] });
server.serve(shout, async (words) => {
  if (words === "") throw new RpcError("invalid_argument", "nothing to shout");
  // A call of a handler's belongs to the trace of its request.
  return words === "twice" ? await inner.call(shout, "once") : words.toUpperCase();
});
metrics.watch(server);
await server.start();
const client = new RpcClient({ url, interceptors: [traceCalls()] });
print(await client.call(shout, "twice"));
print(await client.call(shout, "").catch(({ code }) => code));
for (const line of (await metrics.text()).split("\n")) {
  if (/^fibrpc_replies_total.* [^0]/.test(line)) print(line.replace(queue, "q"));
}
await Promise.all([client.close(), inner.close()]);
await server.close();
await provider?.flush();
