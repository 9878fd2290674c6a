import { assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { type Program, spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

const POISON = 666;
const program = fileURLToPath(new URL("../support/fragile_server.ts", import.meta.url));
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

function startFragile(queue: string, maxAttempts: number): Program {
  const args = [broker.url, queue, String(POISON), String(maxAttempts)];
  return spawn(Deno.execPath(), ["run", "--quiet", "-A", `--config=${config}`, program, ...args]);
}

/** Starts a server again whenever it dies, until it has answered `replies`; counts the deaths. */
async function surviveUntil(
  peer: RawChannel,
  queue: string,
  maxAttempts: number,
  replies: number,
): Promise<{ deaths: number; started: number[] }> {
  let deaths = 0;
  const started: number[] = [];
  while (true) {
    await using server = startFragile(queue, maxAttempts);
    await waitFor(() => server.ended || peer.replies.length >= replies, {
      what: "all replies, or the server's death",
    });
    const isDone = !server.ended;
    if (!isDone) deaths += 1;
    server.kill("SIGKILL");
    await server.status;
    started.push(...[...server.stdout.matchAll(/start (\d+)/g)].map(([, n]) => Number(n)));
    if (isDone) return { deaths, started };
  }
}

for (const type of ["transient", "quorum"] as const) {
  for (const maxAttempts of [2, 3]) {
    Deno.test(`SuspectLane: ${maxAttempts} attempts for the poison, none of its neighbours is given up (${type})`, async () => {
      await using peer = await RawChannel.open(broker.url);
      const queue = uniqueQueue("poison");
      await peer.channel.queueDeclare(
        queue,
        { durable: type === "quorum", autoDelete: false },
        type === "quorum" ? { "x-queue-type": "quorum" } : {},
      );
      const numbers = Array.from({ length: 40 }, (_, i) => i);
      numbers.splice(20, 0, POISON);
      for (const n of numbers) await peer.send(queue, String(n), { correlationId: String(n) });

      const { deaths, started } = await surviveUntil(peer, queue, maxAttempts, numbers.length);

      assertEquals(deaths, maxAttempts);
      assertEquals(started.filter((n) => n === POISON).length, maxAttempts);
      const answers = new Map(
        peer.replies.map((reply) => [reply.properties.correlationId, reply] as const),
      );
      assertEquals(answers.size, numbers.length);
      for (const n of numbers) {
        const reply = answers.get(String(n))!;
        if (n !== POISON) assertEquals(reply.bodyToString(), String(2 * n));
        else assertEquals(reply.properties.headers?.["x-error-code"], "internal");
      }
      assertStringIncludes(answers.get(String(POISON))!.bodyToString()!, "given up");
      for (const name of [queue, `${queue}.suspects`]) {
        assertEquals((await peer.look(name)).messages, 0);
        await peer.channel.queueDelete(name);
      }
    });
  }
}
