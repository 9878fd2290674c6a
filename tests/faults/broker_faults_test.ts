import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { startBroker, uniqueQueue } from "../support/broker.ts";
import { assertNothingLost, Load } from "../support/load.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

type PrivateBroker = Awaited<ReturnType<typeof startBroker>>;

/** The client is patient: a broker takes some seconds to come back. */
const TIMEOUT_MS = 60_000;

/** A load on two servers and two clients, a fault of their broker, and nothing lost. */
async function withLoad(
  broker: PrivateBroker,
  fault: (load: Load, queue: string, servers: readonly FibonacciServer[]) => Promise<void>,
): Promise<void> {
  const queue = uniqueQueue("broker-fault");
  const options = { url: broker.url, queue, heartbeatSeconds: 2 };
  await using first = new FibonacciServer(options);
  await using second = new FibonacciServer(options);
  await first.start();
  await second.start();
  const client = { ...options, timeoutMs: TIMEOUT_MS, resendAfterMs: 1_000 };
  await using load = new Load({
    clients: [client, { ...client, reply: "queue" }],
    repeatNoServer: true, // While the queue is gone, a first request is told so at once.
  });
  await load.flows();
  await fault(load, queue, [first, second]);
  await load.flows();
  await assertNothingLost(load, broker.url, queue);
}

Deno.test("faults of the broker", async (t) => {
  await using broker = await startBroker({ management: true });

  await t.step(
    "all connections closed by the management: nothing is lost",
    () =>
      withLoad(broker, async (load) => {
        for (let i = 0; i < 3; i++) {
          await waitFor(async () => await broker.closeConnections() >= 4, {
            what: "four connections to close",
          });
          await load.flows(100);
        }
      }),
  );

  await t.step(
    "the request queue deleted: callers whose requests vanished get their answers",
    () =>
      withLoad(broker, async (load, queue, servers) => {
        await using peer = await RawChannel.open(broker.url);
        for (let i = 0; i < 3; i++) {
          await peer.channel.queueDelete(queue);
          await waitFor(() => servers.every(({ state }) => state === "connected"), {
            what: "both servers to be back",
          });
          await load.flows(100);
        }
      }),
  );

  await t.step(
    "a memory alarm: calls wait, and go on when it is lifted",
    () =>
      withLoad(broker, async (load, queue, servers) => {
        await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
        // Who publishes is told; a server that is asked nothing publishes nothing.
        await waitFor(() => load.states.every((state) => state === "blocked"), {
          what: "the clients to be told of the alarm",
        });
        // It can't say then whether replies may be published, and starts all the same.
        await using late = new FibonacciServer({ url: broker.url, queue });
        await late.start();
        await broker.ctl("set_vm_memory_high_watermark", "0.4");
        await waitFor(
          () =>
            [...load.states, ...servers.map(({ state }) => state)].every((s) => s === "connected"),
          { what: "all to be told of its end" },
        );
        await load.flows(500);
      }),
  );

  await t.step(
    "stopped and started again: the transient queue comes back, nothing is lost",
    () =>
      withLoad(broker, async () => {
        await broker.stop();
        await broker.start();
      }),
  );

  await t.step("kill -9 and started again: nothing is lost", () =>
    withLoad(broker, async () => {
      await broker.kill();
      await broker.start();
    }));
});
