import { assert, assertEquals, assertRejects } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { FibonacciClient } from "../../src/services/fibonacci/client.ts";
import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { assertNothingLost, Load } from "../support/load.ts";
import { type FaultProxy, startProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();
const port = Number(new URL(broker.url).port || 5672);

/** A server straight at the broker, a client through the proxy and one that isn't. */
async function withLoad(
  name: string,
  fault: (proxy: FaultProxy, load: Load) => Promise<void>,
): Promise<void> {
  const queue = uniqueQueue(name);
  await using proxy = await startProxy(port);
  await using server = new FibonacciServer({ url: broker.url, queue });
  await server.start();
  const client = { queue, timeoutMs: 20_000, heartbeatSeconds: 1 };
  await using load = new Load({
    clients: [{ ...client, url: proxy.url(broker.url) }, { ...client, url: broker.url }],
  });
  await load.flows();
  await fault(proxy, load);
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
}

Deno.test("fault: a reset of the client's link loses no call", () =>
  withLoad("reset", async (proxy, load) => {
    for (let i = 0; i < 5; i++) {
      const { accepted } = proxy;
      proxy.reset();
      await waitFor(() => proxy.accepted > accepted, { what: "a new connection" });
      await load.flows(50);
    }
  }));

Deno.test("fault: a black hole on the client's link is noticed, and loses no call", () =>
  withLoad("hole", async (proxy) => {
    const { accepted } = proxy;
    proxy.blackhole();
    // Noticed by missed heartbeats; the new connection is half-open as well.
    await waitFor(() => proxy.accepted > accepted, { what: "the client to try again" });
    await proxy.restore();
  }));

Deno.test("fault: 1 % of the chunks delayed by 200 ms lose no call", () =>
  withLoad("delay", async (proxy, load) => {
    proxy.delay(0.01, 200);
    await load.flows(1_000);
    await proxy.restore();
  }));

Deno.test("fault: a link that is refused for a while loses no call", () =>
  withLoad("refuse", async (proxy, load) => {
    proxy.refuse();
    proxy.reset();
    await load.flows(100);
    await proxy.restore();
  }));

Deno.test("fault: the server's link reset under load loses no call", async () => {
  const queue = uniqueQueue("server-reset");
  await using proxy = await startProxy(port);
  await using server = new FibonacciServer({ url: proxy.url(broker.url), queue });
  await server.start();
  await using load = new Load({ clients: [{ url: broker.url, queue, timeoutMs: 20_000 }] });
  for (let i = 0; i < 5; i++) {
    await load.flows(100);
    proxy.reset();
  }
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
});

Deno.test("fault: the server's link falls silent: it notices and comes back", async () => {
  const queue = uniqueQueue("server-hole");
  await using proxy = await startProxy(port);
  await using server = new FibonacciServer({
    url: proxy.url(broker.url),
    queue,
    heartbeatSeconds: 1,
    connectTimeoutMs: 1_000,
  });
  await server.start();
  await using load = new Load({ clients: [{ url: broker.url, queue, timeoutMs: 25_000 }] });
  await load.flows();
  const { accepted } = proxy;
  proxy.blackhole();
  await waitFor(() => proxy.accepted > accepted, { what: "the server to try again" });
  await proxy.restore();
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
});

Deno.test("fault: half-open while connecting is unavailable within the time given", async () => {
  await using proxy = await startProxy(port);
  proxy.blackhole();
  await using client = new FibonacciClient({
    url: proxy.url(broker.url),
    connectTimeoutMs: 300,
    timeoutMs: 20_000,
  });
  const start = performance.now();
  const error = await assertRejects(() => client.fibonacci(30), RpcError);
  assertEquals(error.code, "unavailable");
  assert(performance.now() - start < 5_000, "it waited for something else");
});

Deno.test("fault: half-open while connecting: the next broker is used", async () => {
  const queue = uniqueQueue("next");
  await using proxy = await startProxy(port);
  proxy.blackhole();
  await using server = new FibonacciServer({ url: broker.url, queue });
  await server.start();
  await using client = new FibonacciClient({
    url: [proxy.url(broker.url), broker.url],
    queue,
    connectTimeoutMs: 1_000,
  });
  assertEquals(await client.fibonacci(30), 832040n);
});

Deno.test("fault: a call that must not be repeated fails at once with its connection", async () => {
  const queue = uniqueQueue("once");
  await using proxy = await startProxy(port);
  await using server = new FibonacciServer({ url: broker.url, queue });
  await server.start();
  await using client = new FibonacciClient({ url: proxy.url(broker.url), queue });
  await client.fibonacci(1);
  await server.close(); // Nobody answers from now on; the queue is still there.
  const once = assertRejects(
    () => client.fibonacci(30, { idempotent: false, timeoutMs: 20_000 }),
    RpcError,
  );
  const again = client.fibonacci(30, { timeoutMs: 20_000 });
  await waitFor(() => client.pending === 2, { what: "both calls" });
  await client.call("2", { timeoutMs: 200 }).catch(() => {}); // Both are sent by now.
  proxy.reset();
  const error = await once;
  assertEquals(error.code, "unavailable");
  assert(error.message.includes("outcome unknown"), error.message);
  await using second = new FibonacciServer({ url: broker.url, queue });
  await second.start();
  assertEquals(await again, 832040n);
});
