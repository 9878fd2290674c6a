/**
 * The launcher itself: a fault in it would hide faults, or leave brokers
 * behind.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { startBroker, uniqueQueue } from "./broker.ts";
import { run, spawn } from "./process.ts";
import { RawChannel } from "./raw_channel.ts";
import { waitFor } from "./wait.ts";

const SUPPORT = new URL("broker.ts", import.meta.url).href;

async function isAlive(pid: number): Promise<boolean> {
  const { code } = await run("sh", ["-c", `kill -0 ${pid}`]);
  return code === 0;
}

async function canConnect(node: { url: string }): Promise<boolean> {
  try {
    await using _raw = await RawChannel.open(node.url);
    return true;
  } catch {
    return false;
  }
}

Deno.test("startBroker() gives a node that can be watched, harmed and stopped", async (t) => {
  const broker = await startBroker({ management: true });
  const queue = uniqueQueue();

  await t.step("management tells of connections and queues", async () => {
    await using raw = await RawChannel.open(broker.url);
    await raw.channel.queueDeclare(queue, { durable: true });
    await raw.channel.basicQos(7);
    await raw.channel.basicConsume(queue, { noAck: false }, () => {});
    await raw.channel.confirmSelect();
    await raw.channel.basicPublish("", queue, "x", { deliveryMode: 2 });
    await waitFor(
      async () => (await broker.queue(queue))?.unacknowledged === 1,
      { what: "the message to be counted" },
    );
    const found = await broker.queue(queue);
    assertEquals(
      [found?.durable, found?.type, found?.consumers, found?.ready],
      [true, "classic", 1, 0],
    );
    const [consumer] = (await broker.management.consumers())
      .filter((consumer) => consumer.queue === queue);
    assertEquals(consumer!.prefetch, 7);
    const [connection, ...others] = await broker.connections();
    assertEquals([connection!.user, others.length], ["guest", 0]);
    assertEquals(consumer!.connection, connection!.name);
    assertEquals(await broker.queue(uniqueQueue()), undefined);
  });

  await t.step("closeConnections() closes those that match", async () => {
    await using raw = await RawChannel.open(broker.url);
    const other = await RawChannel.open(broker.url);
    await waitFor(async () => (await broker.connections()).length === 2, {
      what: "two connections to be listed",
    });
    const [first] = await broker.connections();
    const closed = await broker.closeConnections((connection) => connection.name === first!.name);
    assertEquals(closed, 1);
    await waitFor(async () => (await broker.connections()).length === 1, {
      what: "one connection to be left",
    });
    await waitFor(() => raw.channel.closed !== other.channel.closed, {
      what: "one of the two to notice",
    });
    await other[Symbol.asyncDispose]();
  });

  await t.step("ctl() talks to this node", async () => {
    const text = await broker.ctl("list_queues", "name", "messages");
    assertStringIncludes(text, `${queue}\t1`);
    const error = await assertRejects(() => broker.ctl("nonsense"), Error);
    assertStringIncludes(error.message, "nonsense");
  });

  await t.step("pause() silences it, resume() wakes it up", async () => {
    await broker.pause();
    const connecting = RawChannel.open(broker.url);
    const stat = async () =>
      (await run("ps", ["-o", "stat=", "-p", `${await broker.pid()}`])).stdout;
    await waitFor(async () => (await stat()).startsWith("T"), {
      what: "the process to be stopped",
    });
    await broker.resume();
    await (await connecting)[Symbol.asyncDispose]();
  });

  await t.step("kill() and start() keep the port and durable data", async () => {
    const pid = await broker.pid();
    await broker.kill();
    assertEquals(await broker.pid(), undefined);
    assertEquals(await canConnect(broker), false);
    await broker.start();
    assert(await broker.pid() !== pid);
    await using raw = await RawChannel.open(broker.url);
    assertEquals((await raw.look(queue)).messages, 1);
  });

  await t.step("disposal leaves no process and no port", async () => {
    const pid = await broker.pid();
    assert(pid !== undefined && await isAlive(pid));
    await broker[Symbol.asyncDispose]();
    assertEquals(await isAlive(pid), false);
    assertEquals(await canConnect(broker), false);
  });
});

Deno.test("startBroker() fails with the end of the log", async () => {
  const error = await assertRejects(
    () => startBroker({ config: "no.such.setting = 1" }),
    Error,
  );
  assertStringIncludes(error.message, "no.such.setting");
});

Deno.test("stop() lets the node close its connections", async () => {
  await using broker = await startBroker();
  await using raw = await RawChannel.open(broker.url);
  await broker.stop();
  assertStringIncludes(await broker.log(), "SIGTERM received");
  await waitFor(() => raw.channel.closed, { what: "the client to notice" });
});

Deno.test("a broker goes when its process is killed", async () => {
  const script = `
    const { startBroker } = await import(${JSON.stringify(SUPPORT)});
    const broker = await startBroker();
    console.log(JSON.stringify([await broker.pid(), broker.url]));
    setInterval(() => {}, 1000);
  `;
  const folder = await Deno.makeTempDir();
  await using owner = spawn(Deno.execPath(), ["eval", "--quiet", script], {
    env: { TMPDIR: folder },
  });
  const [line] = await owner.waitForStdout(/^\[.*\]\n/, 120_000);
  const [pid, url] = JSON.parse(line);
  assert(await canConnect({ url }));
  owner.kill("SIGKILL");
  await waitFor(async () => !await isAlive(pid), {
    what: "the broker to be gone",
  });
  // Its keeper's last act.
  await waitFor(() => [...Deno.readDirSync(folder)].length === 0, {
    what: "its folder to be gone",
  });
  await Deno.remove(folder);
});

Deno.test("sharedBroker() gives one broker to all files, also if they run at once", async () => {
  const folder = await Deno.makeTempDir();
  const temporary = `${folder}/tmp`;
  await Deno.mkdir(temporary);
  const names = ["a", "b", "c"];
  for (const name of names) {
    await Deno.writeTextFile(
      `${folder}/${name}_test.ts`,
      `
        import { sharedBroker } from ${JSON.stringify(SUPPORT)};
        const { url } = await sharedBroker();
        Deno.test("${name}", async () => {
          (await Deno.connect({
            hostname: "127.0.0.1",
            port: Number(new URL(url).port),
          })).close();
          await Deno.writeTextFile("${folder}/${name}.url", url);
        });
      `,
    );
  }
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["test", "-A", "--no-check", "--sanitize-resources", "--parallel", "."],
    {
      cwd: folder,
      // Not what this process itself shares.
      env: {
        TMPDIR: temporary,
        FIBRPC_TEST_URL: "",
        FIBRPC_TEST_SHARED_URL: "",
      },
      timeoutMs: 120_000,
    },
  );
  assertEquals(code, 0, stdout + stderr);
  const urls = names.map((name) => Deno.readTextFileSync(`${folder}/${name}.url`));
  assertEquals(new Set(urls).size, 1);
  await waitFor(() => [...Deno.readDirSync(temporary)].length === 0, {
    what: "the broker's folder to be gone",
  });
  assertEquals(await canConnect({ url: urls[0]! }), false);
  await Deno.remove(folder, { recursive: true });
});
