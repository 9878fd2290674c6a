import { assertEquals } from "@std/assert";
import { Monitor, type MonitoredServer } from "../../src/ops/monitor.ts";
import { get } from "./monitored.ts";

/** A server of which the monitor knows only what it is told. */
function fakeServer(parts: Partial<MonitoredServer> = {}): MonitoredServer {
  return {
    state: "connected",
    readiness: "ready",
    broker: "broker:5672",
    pending: 0,
    overrunMs: 0,
    queues: [{ queue: "q", prefetch: 1, concurrency: 1, pending: 0, isConsuming: true }],
    stats: {} as MonitoredServer["stats"],
    onStateChange: () => () => {},
    inspect: () => Promise.resolve({ found: false }),
    ...parts,
  };
}

Deno.test("/livez: red for a handler that is a minute over its time, never for the broker", async () => {
  const CASES: [Partial<MonitoredServer>, number, string][] = [
    [{}, 200, "ok"],
    [{ overrunMs: 59_000 }, 200, "ok"],
    [{ overrunMs: 61_000 }, 503, "a handler is 61 s over its time"],
    [{ state: "connecting", readiness: "refused" }, 200, "ok"],
    [{ state: "blocked", readiness: "blocked" }, 200, "ok"],
  ];
  for (const [parts, status, text] of CASES) {
    const monitor = new Monitor({ version: "1", base: "test" });
    const address = { host: "127.0.0.1", port: 0 };
    await monitor.start(fakeServer(parts), { address });
    assertEquals(await get(`${monitor.url}/livez`), [status, text]);
    await monitor.close();
  }
});

Deno.test("Monitor: listens on the addresses that it is given", async () => {
  for (const [host, url] of [["::1", "[::1]"], [undefined, "127.0.0.1"]] as const) {
    const monitor = new Monitor({ version: "1", base: "test" });
    await monitor.start(fakeServer(), { address: { host, port: 0 } });
    const { port } = new URL(monitor.url!);
    assertEquals(await get(`http://${url}:${port}/readyz`), [200, "ok"]);
    await monitor.close();
  }
});
