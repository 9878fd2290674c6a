import { assertEquals } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { EchoClient, echoServer } from "../support/services.ts";
import { startProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

Deno.test("RpcClient: the time for the first connection does not limit those after a loss", async () => {
  const queue = uniqueQueue("reconnect");
  await using proxy = await startProxy(Number(new URL(broker.url).port || 5672));
  await using server = echoServer({ url: broker.url, queue });
  await server.start();
  const connectTimeoutMs = 1_000;
  const end = performance.now() + connectTimeoutMs;
  await using client = new EchoClient({ url: proxy.url(broker.url), queue, connectTimeoutMs });
  await client.connect();
  await waitFor(() => performance.now() > end, { what: "that time to be over" });
  proxy.delay(1, 20); // Slower than loopback is, as most networks are.
  proxy.reset();
  assertEquals(await client.echo("30", { timeoutMs: 20_000 }), "30");
});
