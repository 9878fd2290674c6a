import { assert, assertEquals } from "@std/assert";
import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { type BrokerNode, startCluster, uniqueQueue } from "../support/broker.ts";
import { assertNothingLost, Load } from "../support/load.ts";
import { waitFor } from "../support/wait.ts";

/** A new leader is there after a second or two, on two busy cores after some more. */
const TIMEOUT_MS = 60_000;

Deno.test("fault: kill -9 of the node that leads a quorum queue loses no call", async () => {
  await using cluster = await startCluster(3, { management: true });
  const { nodes } = cluster;
  const queue = uniqueQueue("quorum");
  // Each node is the first choice of a server and of two clients.
  const urls = nodes.map((_, first) =>
    nodes.map((_, index) => nodes[(first + index) % nodes.length]!.url)
  );
  const options = { queue, queueType: "quorum" as const, heartbeatSeconds: 2 };
  const servers: FibonacciServer[] = [];
  try {
    for (const url of urls) {
      const server = new FibonacciServer({ ...options, url });
      servers.push(server);
      await server.start();
    }
    const clients = urls.flatMap((url) => {
      const client = {
        url,
        queue,
        heartbeatSeconds: 2,
        timeoutMs: TIMEOUT_MS,
        resendAfterMs: 2_000,
      };
      return [client, { ...client, reply: "queue" as const }];
    });
    await using load = new Load({ clients, inFlight: 8 });
    await load.flows();
    const details = await members(nodes[0]!, queue);
    assertEquals(details.online.length, 3);

    const leader = nodes.find(({ name }) => name === details.leader)!;
    const others = nodes.filter((node) => node !== leader);
    await leader.kill();
    await waitFor(async () => (await members(others[0]!, queue)).leader !== leader.name, {
      what: "another leader",
      timeoutMs: TIMEOUT_MS,
    });
    await waitFor(
      () => [...servers.map(({ state }) => state), ...load.states].every((s) => s === "connected"),
      { what: "all to be connected again" },
    );
    await load.flows(1_000);
    const left = others.map(({ port }) => `127.0.0.1:${port}`);
    assert(servers.every(({ broker }) => left.includes(broker!)), "a server at a dead node");

    await leader.start();
    await waitFor(async () => (await members(others[0]!, queue)).online.length === 3, {
      what: "the node to be back in the queue's cluster",
    });
    await load.flows(1_000);
    await assertNothingLost(load, others[0]!.url, queue);
    assertEquals((await members(others[0]!, queue)).type, "quorum");
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
});

/** What a node knows of a quorum queue's replicas: node names. */
async function members(
  node: BrokerNode,
  queue: string,
): Promise<{ leader: string; online: readonly string[]; type: string }> {
  const row = await node.management.request("GET", `queues/%2F/${queue}`) as {
    leader: string;
    online?: string[];
    type: string;
  };
  return { leader: row.leader, online: row.online ?? [], type: row.type };
}
