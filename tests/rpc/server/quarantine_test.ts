import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sharedBroker, uniqueQueue } from "../../support/broker.ts";
import { type Program, spawn } from "../../support/process.ts";
import { RawChannel } from "../../support/raw_channel.ts";
import { echoServer } from "../../support/services.ts";
import { waitFor } from "../../support/wait.ts";

const broker = await sharedBroker();

const POISON = 666;
const program = fileURLToPath(new URL("../../support/fragile_server.ts", import.meta.url));
const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));

/** What the poison does to its server. */
type Effect = "kill" | "hang";

function startFragile(queue: string, maxAttempts: number, effect: Effect): Program {
  const args = [broker.url, queue, String(POISON), String(maxAttempts), effect];
  return spawn(Deno.execPath(), ["run", "--quiet", "-A", `--config=${config}`, program, ...args]);
}

/** Servers of which each is started again whenever it is lost, until they have answered `replies`. */
async function surviveUntil(
  peer: RawChannel,
  queue: string,
  maxAttempts: number,
  effect: Effect,
  replies: number,
  servers = 1,
): Promise<{ deaths: number; started: number[] }> {
  let deaths = 0;
  const started: number[] = [];
  const isDone = () =>
    new Set(peer.replies.map(({ properties }) => properties.correlationId)).size >= replies;
  const runOne = async () => {
    while (!isDone() && deaths <= maxAttempts) {
      await using server = startFragile(queue, maxAttempts, effect);
      const isLost = async () => {
        if (effect === "kill" || !server.stdout.includes(`start ${POISON}`)) return server.ended;
        return (await peer.look(queue)).consumers === 0;
      };
      await waitFor(async () => isDone() || await isLost(), {
        what: "all replies, or the server's death",
        timeoutMs: 60_000,
      });
      if (!isDone()) deaths += 1;
      server.kill("SIGKILL");
      await server.status;
      started.push(...[...server.stdout.matchAll(/start (\d+)/g)].map(([, n]) => Number(n)));
    }
  };
  await Promise.all(Array.from({ length: servers }, runOne));
  if (!isDone()) throw new Error(`${deaths} servers were lost, and started ${started}`);
  return { deaths, started };
}

Deno.test("Quarantine: its queue is there from the start, and again when it was deleted", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("suspects");
  await using server = echoServer({ url: broker.url, queue });
  await server.start();
  const isThere = () => peer.look(`${queue}.suspects`).then(() => true, () => false);
  await waitFor(isThere, { what: "the queue", timeoutMs: 4_000 }); // Before the second look.
  await peer.channel.queueDelete(`${queue}.suspects`);
  await waitFor(isThere, { what: "the queue again" });
});

const CASES = [
  ["transient", 2, "kill"],
  ["transient", 3, "kill"],
  ["transient", 3, "hang"],
  ["quorum", 2, "kill"],
  ["quorum", 3, "kill"],
] as const;

for (const [type, maxAttempts, effect] of CASES) {
  Deno.test(`Quarantine: ${maxAttempts} attempts for a request that can ${effect}, none of its neighbours is given up (${type})`, async () => {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("poison");
    if (type === "quorum") {
      await peer.channel.queueDeclare(queue, { durable: true }, { "x-queue-type": "quorum" });
    } else await peer.declare(queue);
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    numbers.splice(20, 0, POISON);
    for (const n of numbers) await peer.send(queue, String(n), { correlationId: String(n) });

    const { deaths, started } = await surviveUntil(
      peer,
      queue,
      maxAttempts,
      effect,
      numbers.length,
    );

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

Deno.test("Quarantine: two servers that die in turn give up the request that kills them, and no other", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("poison");
  await peer.declare(queue);
  const numbers = Array.from({ length: 40 }, (_, i) => i);
  numbers.splice(20, 0, POISON);
  for (const n of numbers) await peer.send(queue, String(n), { correlationId: String(n) });
  const { started } = await surviveUntil(peer, queue, 3, "kill", numbers.length, 2);
  const deadly = started.filter((n) => n === POISON).length;
  assert(deadly === 3, `it killed ${deadly} servers`);
  for (const n of numbers) {
    const replies = peer.replies.filter(({ properties }) => properties.correlationId === `${n}`);
    const codes = new Set(replies.map(({ properties }) => properties.headers?.["x-error-code"]));
    assertEquals([...codes], [n === POISON ? "internal" : undefined]);
  }
});
