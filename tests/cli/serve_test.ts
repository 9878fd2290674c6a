/** `fibrpc serve`: its log, its queue, its end. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import type { Program } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { permitsTransientQueues } from "../support/transient_queues.ts";
import { CommandLine, READY, withPassword } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);
const { hostname, port } = new URL(broker.url);

/** A log in JSON, a record per line. */
function parseLog(stderr: string): Record<string, unknown>[] {
  return stderr.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

async function end(server: Program, signal: Deno.Signal = "SIGTERM"): Promise<number> {
  server.kill(signal);
  return (await server.waitForExit()).code;
}

Deno.test("serve: the ready line names queue and broker, in JSON unless on a terminal", async () => {
  const queue = uniqueQueue("serve");
  await using server = await fibrpc.serve(queue);
  const [ready] = parseLog(server.stderr).filter(({ message }) => READY.test(String(message)));
  const text = `Awaiting RPC requests on ${queue} at ${hostname}:${port} (${ready!.product})`;
  assertEquals(ready!.message, text);
  assertMatch(String(ready!.product), /^RabbitMQ \d+\.\d+\.\d+/);
  const [start] = parseLog(server.stderr);
  assertMatch(String(start!.version), /^\d+\.\d+\.\d+ \(/);
  assertEquals([start!.queue, start!.prefetch, start!.drainTimeoutMs], [queue, 64, 25_000]);
  assertEquals([ready!.queue, ready!.broker], [queue, `${hostname}:${port}`]);
  assertEquals(ready!.level, "info");
  assert(!Number.isNaN(Date.parse(String(ready!["@timestamp"]))));
  assertEquals(await end(server), 0);
  for (const { level, message } of parseLog(server.stderr)) assert(level && message);
  assertEquals(server.stdout, "");
});

Deno.test("serve --log-format text: a line for people", async () => {
  const queue = uniqueQueue("serve");
  await using server = await fibrpc.serve(queue, "--log-format", "text");
  const line = new RegExp(
    `^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z \\[info\\] fibrpc.serve: Awaiting RPC requests on ${queue} at ${hostname}:${port} \\(RabbitMQ .*\\)$`,
    "m",
  );
  assertMatch(server.stderr, line);
  assertEquals(await end(server), 0);
  assertEquals(server.stdout, "");
});

Deno.test("serve: no password in any line of the log", async () => {
  const url = withPassword(broker.url, "hunter2");
  await using server = new CommandLine(url).spawn(["serve", "--log-level", "debug"]);
  assertEquals((await server.waitForExit()).code, 3);
  assertStringIncludes(server.stderr, "unauthenticated");
  assert(!server.stderr.includes("hunter2"), server.stderr);
  await using accepted = await fibrpc.serve(uniqueQueue("serve"), "--log-level", "debug");
  const { username, password } = new URL(broker.url);
  assert(!accepted.stderr.includes(`${username}:${password}@`), accepted.stderr);
});

Deno.test("serve --quiet and --log-level: what is logged", async () => {
  const queue = uniqueQueue("serve");
  await using peer = await RawChannel.open(broker.url);
  for (const args of [["--quiet"], ["--log-level", "error"], ["--log-level", "warning"]]) {
    await using server = fibrpc.spawn(["serve", "--queue", queue, ...args]);
    await peer.declare(queue);
    await peer.send(queue, "30", { correlationId: args.join() });
    await peer.waitForReplies(1);
    peer.replies.splice(0);
    assertEquals(await end(server), 0);
    assertEquals([server.stdout, server.stderr], ["", ""]);
  }
  const url = withPassword(broker.url, "hunter2");
  const { code, stderr } = await new CommandLine(url).run(["serve", "--quiet"]);
  assertEquals([code, parseLog(stderr).length], [3, 1]);
});

Deno.test("serve: a wrong password or virtual host ends it at once, exit code 3", async () => {
  const url = new URL(broker.url);
  url.pathname = "/no-such-vhost";
  const refusals = [
    [withPassword(broker.url, "hunter2"), "unauthenticated"],
    [url.href, "permission_denied"],
  ];
  for (const [url, expected] of refusals) {
    const { code, stdout, stderr } = await new CommandLine(url!).run(["serve"]);
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    const [_start, record, ...others] = parseLog(stderr);
    assertEquals([record!.level, record!.code, others.length], ["error", expected, 0]);
  }
});

Deno.test("serve: no broker yet: it says so, keeps trying, and is ready when it comes", async () => {
  const queue = uniqueQueue("serve");
  await using proxy = await startProxy(Number(port), { hostname });
  proxy.refuse();
  const cli = new CommandLine(proxy.url(broker.url));
  await using server = cli.spawn(["serve", "--queue", queue]);
  await server.waitForStderr(/can't connect[^]*can't connect[^]*can't connect/);
  await proxy.restore();
  await server.waitForStderr(READY);
  assertEquals((await fibrpc.run(["call", "30", "--queue", queue])).stdout, "832040\n");
  assertEquals(await end(server), 0);
});

Deno.test("serve: says that the broker is lost, and when it is back", async () => {
  const queue = uniqueQueue("serve");
  await using proxy = await startProxy(Number(port), { hostname });
  await using server = await new CommandLine(proxy.url(broker.url)).serve(queue);
  proxy.reset();
  await server.waitForStderr(/Awaiting RPC[^]*warning[^]*lost[^]*Awaiting RPC/);
  assertEquals((await fibrpc.run(["call", "30", "--queue", queue])).stdout, "832040\n");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`serve: ${signal} before there is a broker ends it, exit code 0`, async () => {
    await using server = new CommandLine("amqp://127.0.0.1:1").spawn(["serve"]);
    await server.waitForStderr(/can't connect/);
    assertEquals(await end(server, signal), 0);
  });
}

const permitsTransient = await permitsTransientQueues(broker.url);

const DECLARED = {
  ...(permitsTransient && { transient: [{ durable: false }, {}] }),
  classic: [{ durable: true }, {}],
  quorum: [{ durable: true }, { "x-queue-type": "quorum" }],
} as const;

for (const [type, [how, args]] of Object.entries(DECLARED)) {
  Deno.test(`serve --queue-type ${type}: the queue is one`, async () => {
    const queue = uniqueQueue("serve");
    await using peer = await RawChannel.open(broker.url);
    await using server = await fibrpc.serve(queue, "--queue-type", type);
    assertStringIncludes(server.stderr, `declared ${queue} (${type})`);
    // Refused (406) unless it was declared like this.
    await peer.channel.queueDeclare(queue, { autoDelete: false, ...how }, args);
    assertEquals(await end(server), 0);
    await peer.channel.queueDelete(queue);
  });

  Deno.test(`serve: a queue that is there is used as it is (${type})`, async () => {
    const queue = uniqueQueue("serve");
    await using peer = await RawChannel.open(broker.url);
    await peer.channel.queueDeclare(queue, { autoDelete: false, ...how }, args);
    await using server = await fibrpc
      .serve(queue, "--queue-type", type === "classic" ? "transient" : "classic");
    assert(!server.stderr.includes("declared"), server.stderr);
    assertEquals((await fibrpc.run(["call", "30", "--queue", queue])).stdout, "832040\n");
    assertEquals(await end(server), 0);
    await peer.channel.queueDelete(queue);
  });
}

Deno.test("serve: the queue is transient unless asked otherwise, or quorum where that is refused", async () => {
  const queue = uniqueQueue("serve");
  await using server = await fibrpc.serve(queue);
  const type = permitsTransient ? "transient" : "quorum";
  assertStringIncludes(server.stderr, `declared ${queue} (${type})`);
  assertEquals(/refuses transient queues/.test(server.stderr), !permitsTransient);
});

Deno.test("serve --max-n: the largest n that is computed", async () => {
  const queue = uniqueQueue("serve");
  await using _server = await fibrpc.serve(queue, "--max-n", "30");
  const { code, stdout, stderr } = await fibrpc.run(["call", "30", "31", "--queue", queue]);
  assertEquals({ code, stdout }, { code: 1, stdout: "832040\n" });
  assertMatch(stderr, /^fibrpc: out_of_range: .*31.*30/);
});
