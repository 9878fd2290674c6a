import { assertEquals, assertMatch } from "@std/assert";
import { monitored, waitUntil } from "../ops/monitored.ts";
import { sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";

const { url } = await sharedBroker();
const fibrpc = new CommandLine(url);
const { hostname, port } = new URL(url);

Deno.test("status: a broker and a queue in two lines, in JSON, for Prometheus", async () => {
  const queue = uniqueQueue("status");
  await using _server = await fibrpc.serve(queue);
  const text = await fibrpc.run(["status", "--queue", queue]);
  assertEquals([text.code, text.stderr], [0, ""]);
  assertMatch(
    text.stdout,
    new RegExp(
      `^${hostname}:${port} \\(RabbitMQ [\\d.]+, cluster \\S+\\), connected in [\\d.]+ ms, ` +
        `round trip [\\d.]+ ms\n  ${queue}   consumers 1   waiting 0   suspects 0\n$`,
    ),
  );
  const json = await fibrpc.run(["status", "--queue", queue, "--output", "json"]);
  const { connectMs, roundTripMs, product, cluster, ...rest } = JSON.parse(json.stdout);
  assertEquals(json.stdout.startsWith('{"v":1,'), true);
  assertEquals(rest, {
    v: 1,
    ok: true,
    broker: `${hostname}:${port}`,
    queues: [{ queue, exists: true, consumers: 1, waiting: 0, suspects: 0, verdict: "ok" }],
  });
  assertMatch(product, /^RabbitMQ \d/);
  assertEquals([connectMs > 0, roundTripMs > 0, typeof cluster], [true, true, "string"]);
  const metrics = await fibrpc.run(["status", "--queue", queue, "--output", "prometheus"]);
  assertMatch(metrics.stdout, new RegExp(`^fibrpc_queue_consumers\\{queue="${queue}"\\} 1$`, "m"));
  const quiet = await fibrpc.run(["status", "--queue", queue, "--quiet"]);
  assertEquals([quiet.code, quiet.stdout + quiet.stderr], [0, ""]);
});

Deno.test("status: its exit code says whether enough serve, and not too much waits", async () => {
  await using peer = await RawChannel.open(url);
  const [full, missing] = [uniqueQueue("full"), uniqueQueue("missing")];
  await peer.declare(full);
  for (let i = 0; i < 3; i++) await peer.send(full, "1");
  const served = uniqueQueue("served");
  await using _server = await fibrpc.serve(served);
  const suspects = `${served}.suspects`;
  await peer.channel.basicPublish("", suspects, "x");
  await waitFor(async () => (await peer.look(suspects)).messages === 1, { what: "a suspect" });
  const CASES: [args: string[], code: number][] = [
    [["--queue", missing], 5],
    [["--queue", missing, "--min-consumers", "0"], 0],
    [["--queue", full], 5],
    [["--queue", full, "--min-consumers", "0"], 0],
    [["--queue", full, "--min-consumers", "0", "--max-waiting", "3"], 0],
    [["--queue", full, "--min-consumers", "0", "--max-waiting", "2"], 1],
    [["--queue", served, "--min-consumers", "2"], 5],
    [["--queue", served, "--max-suspects", "1"], 0],
    [["--queue", served, "--max-suspects", "0"], 1],
    [["--queue", served, "--queue", full], 5],
    [["--queue", served, "--queue", full, "--min-consumers", "0", "--max-waiting", "2"], 1],
    [["--url", "amqp://127.0.0.1:1"], 3],
    [["--min-consumers", "-1"], 2],
    [["--output", "yaml"], 2],
    [["x"], 2],
  ];
  for (const [args, code] of CASES) {
    const outcome = await fibrpc.run(["status", ...args]);
    assertEquals(outcome.code, code, `${args.join(" ")}: ${outcome.stdout}${outcome.stderr}`);
  }
});

Deno.test("status: where it may not look, it says unknown; a wrong password is exit code 3", async () => {
  await using broker = await startBroker({ management: true });
  const queue = uniqueQueue("status");
  await using _server = await new CommandLine(broker.url).serve(queue);
  const api = `http://127.0.0.1:${new URL(broker.management.url).port}`;
  const args = ["status", "--queue", queue, "--management", api];
  const more = await waitFor(async () => {
    const outcome = await new CommandLine(broker.url).run(args);
    return outcome.stdout.includes("unacknowledged") && outcome;
  }, { what: "the queue in the API" });
  assertMatch(more.stdout, /suspects 0 {3}unacknowledged 0 {3}(classic|quorum)\n$/);
  const wrong = await new CommandLine(broker.url).run([...args.slice(0, -1), "localhost:15672"]);
  assertEquals([wrong.code, wrong.stdout], [2, ""]);
  await broker.ctl("add_user", "nobody", "s3cret-word");
  await broker.ctl("set_permissions", "nobody", "^$", "^$", "^$");
  const nobody = new URL(broker.url);
  nobody.username = "nobody";
  nobody.password = "s3cret-word";
  const { code, stdout } = await new CommandLine(nobody.href).run(["status", "--queue", queue]);
  // Brokers before 4.2.7 let everybody look.
  const isShown = /consumers 1 {3}waiting 0 {3}suspects 0/.test(stdout);
  assertEquals(code, isShown ? 0 : 3);
  if (!isShown) assertMatch(stdout, /consumers unknown {3}waiting unknown {3}suspects unknown/);
  nobody.password = "another-word";
  const refused = await new CommandLine(nobody.href).run(["status", "--queue", queue]);
  assertEquals([refused.code, refused.stdout], [3, ""]);
  assertMatch(refused.stderr, /^fibrpc: unauthenticated: .*refused user "nobody"/);
  assertEquals(refused.stderr.includes("another-word"), false);
});

Deno.test("status --watch: a line an interval with differences, also when the broker was away", async () => {
  await using broker = await startBroker();
  const command = new CommandLine(broker.url);
  const queue = uniqueQueue("watch");
  await using server = await command.serve(queue);
  await using watch = command.spawn(["status", "--queue", queue, "--watch", "100ms"]);
  await watch.waitForStdout(/^\d\d:\d\d:\d\d {2}\S+ {3}consumers 1 {3}waiting 0/m);
  {
    await using peer = await RawChannel.open(broker.url);
    server.kill("SIGTERM");
    await server.status;
    await watch.waitForStdout(/consumers 0 \(-1\)/);
    await peer.send(queue, "1");
    await watch.waitForStdout(/waiting 1 \(\+1\)/);
  }
  await broker.stop();
  await watch.waitForStderr(/^fibrpc: unavailable: /m);
  const before = watch.stdout.length;
  await broker.start();
  // A transient queue is gone now, a quorum queue is not.
  await waitFor(() => /watch-\S+ {3}(missing|consumers 0)/.test(watch.stdout.slice(before)), {
    what: "a look at the broker that is back",
  });
  watch.kill("SIGINT");
  assertEquals((await watch.status).code, 130);
  const missing = (await broker.log()).match(/no queue '/g)?.length ?? 0;
  assertEquals(missing <= 2, true, `${missing} looks at a missing queue`);
});

Deno.test("status --worker: a worker's readiness, without a broker", async () => {
  const queue = uniqueQueue("worker");
  await using server = await monitored(fibrpc, queue);
  await waitUntil(server, "ok");
  const nowhere = new CommandLine("amqp://127.0.0.1:1");
  const ready = await nowhere.run(["status", "--worker", server.url]);
  assertEquals([ready.code, ready.stdout], [0, "ok\n"]);
  await using away = await monitored(nowhere, queue);
  const connecting = await nowhere.run(["status", "--worker", away.url]);
  assertEquals([connecting.code, connecting.stdout], [1, "connecting\n"]);
  const gone = await nowhere.run(["status", "--worker", "http://127.0.0.1:1"]);
  assertEquals(gone.code, 1);
  assertMatch(gone.stdout, /^no answer: /);
  const wrong = await nowhere.run(["status", "--worker", "127.0.0.1:9464"]);
  assertEquals([wrong.code, wrong.stdout], [2, ""]);
});
