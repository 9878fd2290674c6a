import { assertEquals, assertMatch } from "@std/assert";
import { CommandLine, READY } from "../cli/command_line.ts";
import { sharedBroker, startBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { get, monitored, waitUntil } from "./monitored.ts";

Deno.test("serve --http: readiness follows the broker, liveness does not", async (t) => {
  await using broker = await startBroker({ management: true });
  const fibrpc = new CommandLine(broker.url);
  const queue = uniqueQueue("ready");
  const healthFile = await Deno.makeTempFile();
  await Deno.remove(healthFile);
  const isHealthy = () => Deno.stat(healthFile).then(() => true, () => false);
  const gate = `${healthFile}.gate`;
  const wait = `while [ ! -e ${gate} ]; do sleep 0.05; done`;
  await using server = await monitored(
    fibrpc,
    queue,
    ...["--health-file", healthFile, "--", "sh", "-c", wait],
  );

  await t.step("ready", async () => {
    await waitUntil(server, "ok");
    await waitFor(isHealthy, { what: "the health file" });
  });
  await t.step("blocked", async () => {
    await using peer = await RawChannel.open(broker.url);
    await peer.send(queue, "x");
    await waitFor(async () => /in_flight\S* 1$/m.test((await get(`${server.url}/metrics`))[1]), {
      what: "a request in hand",
    });
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
    await waitUntil(server, "ok"); // A broker tells of an alarm whoever publishes.
    await Deno.create(gate).then((file) => file.close());
    await waitUntil(server, "blocked");
    await waitFor(async () => !await isHealthy(), { what: "the health file to go" });
    await broker.ctl("set_vm_memory_high_watermark", "0.4");
    await waitUntil(server, "ok");
    await peer.waitForReplies(1);
  });
  await t.step("its queue deleted: declared again by itself", async () => {
    await using peer = await RawChannel.open(broker.url);
    await peer.channel.queueDelete(queue);
    await waitUntil(server, "ok");
    await waitFor(async () => (await peer.look(queue)).consumers === 1, { what: "its consumer" });
  });
  await t.step("its queue deleted and not to be had again: not consuming", async () => {
    await using peer = await RawChannel.open(broker.url);
    await peer.channel.queueDelete(queue);
    // Somebody else's exclusive queue: it can be neither declared nor consumed.
    await waitFor(async () => {
      try {
        await using other = await RawChannel.open(broker.url);
        await other.channel.queueDelete(queue);
        await other.channel.queueDeclare(queue, { exclusive: true, durable: false });
        await waitUntil(server, "not_consuming");
        return true;
      } catch {
        return false; // The server was faster.
      }
    }, { what: "not_consuming" });
    await waitUntil(server, "ok");
  });
  await t.step("refused: an error in the log", async () => {
    await broker.ctl("change_password", "guest", "another");
    await broker.ctl("close_all_connections", "test");
    await waitUntil(server, "refused");
    assertMatch(server.program.stderr, /"level":"error".*refused user/);
    await broker.ctl("change_password", "guest", "guest");
    await waitUntil(server, "ok");
  });
  await t.step("the broker down, and up again", async () => {
    await broker.kill();
    await waitUntil(server, "connecting");
    await waitFor(async () => !await isHealthy(), { what: "the health file to go" });
    await broker.start();
    await waitUntil(server, "ok");
    await waitFor(isHealthy, { what: "the health file" });
    const [, metrics] = await get(`${server.url}/metrics`);
    const reconnects = Number(/^fibrpc_reconnects_total\S* (\d+)$/m.exec(metrics)?.[1]);
    assertEquals(reconnects >= 2, true, metrics);
  });
  await t.step("gone, with its file", async () => {
    server.program.kill("SIGTERM");
    await server.program.status;
    assertEquals(await isHealthy(), false);
    await Deno.remove(gate);
  });
});

Deno.test("serve --http: answers before there is a broker, and while it drains", async () => {
  const fibrpc = new CommandLine("amqp://127.0.0.1:1");
  await using server = await monitored(fibrpc, "queue");
  await waitUntil(server, "connecting");
  server.program.kill("SIGTERM");
  assertEquals((await server.program.status).code, 0);

  const { url } = await sharedBroker();
  const queue = uniqueQueue("drain");
  const args = ["--drain-timeout", "30s", "--", "sleep", "3"];
  await using slow = await monitored(new CommandLine(url), queue, ...args);
  await slow.program.waitForStderr(READY);
  await using peer = await RawChannel.open(url);
  await peer.send(queue, "x");
  await waitFor(async () => /in_flight\S* 1$/m.test((await get(`${slow.url}/metrics`))[1]), {
    what: "a request in hand",
  });
  slow.program.kill("SIGTERM");
  await waitUntil(slow, "draining");
  assertEquals((await slow.program.status).code, 0);
  await peer.waitForReplies(1);
});

Deno.test("serve --http: an event loop that stands still answers no probe; it is only late", async () => {
  const { url } = await sharedBroker();
  const queue = uniqueQueue("stuck");
  const healthFile = await Deno.makeTempFile();
  await using server = await monitored(
    new CommandLine(url),
    queue,
    ...["--health-file", healthFile],
  );
  await waitUntil(server, "ok");
  server.program.kill("SIGSTOP");
  const probe = fetch(`${server.url}/livez`, { signal: AbortSignal.timeout(300) });
  assertEquals(await probe.then(() => "answered", ({ name }) => name), "TimeoutError");
  const { mtime } = await Deno.stat(healthFile);
  server.program.kill("SIGCONT");
  await waitUntil(server, "ok");
  await waitFor(async () => (await Deno.stat(healthFile)).mtime! > mtime!, {
    what: "the health file to be touched again",
  });
  await Deno.remove(healthFile);
});

Deno.test("serve --http: who only holds connections open keeps no probe out", async () => {
  const { url } = await sharedBroker();
  await using server = await monitored(new CommandLine(url), uniqueQueue("idle"));
  await waitUntil(server, "ok");
  const port = Number(new URL(server.url).port);
  for (const begun of ["", "GET /livez HT"]) {
    const held: Deno.Conn[] = [];
    for (let i = 0; i < 150; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      // The first may be closed already.
      await connection.write(new TextEncoder().encode(begun)).catch(() => {});
      held.push(connection);
    }
    for (const path of ["livez", "readyz", "metrics"]) {
      assertEquals((await get(`${server.url}/${path}`))[0], 200, path);
    }
    for (const connection of held) connection.close();
  }
});

Deno.test("serve --http: only GET and HEAD, only what is there; a port in use ends it", async () => {
  const { url } = await sharedBroker();
  const fibrpc = new CommandLine(url);
  await using server = await monitored(fibrpc, uniqueQueue("http"));
  await waitUntil(server, "ok");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const response = await fetch(`${server.url}/metrics`, {
      method,
      body: method === "OPTIONS" ? null : "x",
    });
    assertEquals([response.status, response.headers.get("allow")], [405, "GET, HEAD"]);
    await response.body?.cancel();
  }
  const head = await fetch(`${server.url}/`, { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
  assertEquals(Number(head.headers.get("content-length")) > 10_000, true);
  for (const path of ["/x", "/constructor", "/__proto__", "/../etc/passwd"]) {
    assertEquals((await get(server.url + path))[0], 404);
  }
  assertEquals((await get(`${server.url}/readyz?verbose`))[0], 200);
  const { port } = new URL(server.url);
  const second = await fibrpc.run(["serve", "--queue", uniqueQueue(), "--http", port]);
  assertEquals([second.code, second.stdout], [1, ""]);
  assertMatch(second.stderr, new RegExp(`can't listen on 127.0.0.1:${port}: .*in use`));
  const wrong = ["99999", "x", "a:b:80", "", "80 ", "user@host:80"];
  for (const address of wrong) {
    const { code, stderr } = await fibrpc.run(["serve", "--http", address]);
    assertEquals(code, 2, address);
    assertMatch(stderr, /--http.*It is a port/s);
  }
});
