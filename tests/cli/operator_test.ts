/** What an operator sees of fibrpc, and what one can forbid it. */
import { assertEquals, assertMatch } from "@std/assert";
import { hostname } from "node:os";
import { type Broker, startBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";

Deno.test("operator: what one sees of fibrpc, and can forbid it", async (t) => {
  await using broker = await startBroker({ management: true });
  const fibrpc = new CommandLine(broker.url);

  await t.step("sees each connection by command, host and process", async () => {
    const queue = uniqueQueue("operator");
    await using server = await fibrpc.serve(queue, "--heartbeat", "7");
    await using call = fibrpc.spawn(["call", "-", "1", "--queue", queue], { stdin: "piped" });
    await call.write("1\n");
    await call.waitForStdout(/1/);
    const host = hostname();
    const names = [
      `fibrpc serve@${host}:${server.pid}`,
      `fibrpc call@${host}:${call.pid}`,
    ];
    const connections = await waitFor(async () => {
      const found = await broker.connections();
      return names.every((name) => found.some(({ clientName }) => clientName === name)) && found;
    }, { what: `connections ${names}` });
    const heartbeats = names.map((name) =>
      connections.find(({ clientName }) => clientName === name)!.heartbeatSeconds
    );
    assertEquals(heartbeats, [7, 15]);
  });

  await t.step("finds the prefetch that was asked for", async () => {
    const queue = uniqueQueue("operator");
    await using _server = await fibrpc.serve(queue, "--prefetch", "17");
    const consumer = await waitFor(
      async () => (await broker.management.consumers()).find((found) => found.queue === queue),
      { what: "the consumer" },
    );
    assertEquals(consumer.prefetch, 17);
  });

  await t.step("can forbid a caller everything but to write: it still calls", async () => {
    const queue = uniqueQueue("operator");
    await using _server = await fibrpc.serve(queue);
    const caller = await user(broker, { configure: "", write: "^amq\\.default$", read: "" });
    const args = ["call", "30", "--queue", queue];
    const { code, stdout, stderr } = await caller.run(args);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "832040\n", stderr: "" });
    const refused = await caller.run([...args, "--reply", "queue"]);
    assertEquals([refused.code, refused.stdout], [3, ""]);
    assertMatch(refused.stderr, /^fibrpc: permission_denied: .*reply queue/m);
  });

  await t.step("can forbid a caller to write: permission_denied, at once", async () => {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("operator");
    await peer.declare(queue);
    const caller = await user(broker, { configure: ".*", write: "", read: ".*" });
    const { code, stdout, stderr } = await caller.run(["call", "30", "--queue", queue]);
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    assertMatch(stderr, /^fibrpc: permission_denied: .*fib\(30\)/m);
  });

  await t.step("can forbid a server to read or to declare: exit code 3 at start", async () => {
    for (const read of ["", ".*"]) {
      const server = await user(broker, { configure: read === "" ? ".*" : "", write: ".*", read });
      const { code, stdout, stderr } = await server.run(["serve", "--queue", uniqueQueue()]);
      assertEquals({ code, stdout }, { code: 3, stdout: "" });
      assertMatch(stderr, /permission_denied/);
    }
  });
});

/** The command line of a new user with these permissions. */
async function user(
  { management, url }: Broker,
  permissions: { configure: string; write: string; read: string },
): Promise<CommandLine> {
  const name = `user-${crypto.randomUUID()}`;
  const password = crypto.randomUUID();
  await management.request("PUT", `users/${name}`, { password, tags: "" });
  await management.request("PUT", `permissions/%2F/${name}`, permissions);
  const changed = new URL(url);
  Object.assign(changed, { username: name, password });
  return new CommandLine(changed.href);
}
