/** Where the program takes its settings from, and where it doesn't. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { run } from "../support/process.ts";
import { CommandLine, withPassword } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

const BAD = "not-a-url";

Deno.test("settings: --url comes before FIBRPC_URL, that before AMQP_URL", async () => {
  const queue = uniqueQueue("settings");
  await using _server = await fibrpc.serve(queue);
  const args = ["call", "30", "--queue", queue];
  const call = async (env: Record<string, string>, ...more: string[]) =>
    (await new CommandLine("").run([...args, ...more], { env })).code;
  const { url } = broker;
  assertEquals(await call({ FIBRPC_URL: BAD, AMQP_URL: BAD }, "--url", url), 0);
  assertEquals(await call({ FIBRPC_URL: url, AMQP_URL: url }, "--url", BAD), 2);
  assertEquals(await call({ FIBRPC_URL: url, AMQP_URL: BAD }), 0);
  assertEquals(await call({ FIBRPC_URL: BAD, AMQP_URL: url }), 2);
  assertEquals(await call({ AMQP_URL: url }), 0);
  assertEquals(await call({ AMQP_URL: BAD }), 2);
});

Deno.test("settings: --queue comes before FIBRPC_QUEUE, for both commands", async () => {
  const [served, missing] = [uniqueQueue("settings"), uniqueQueue("settings")];
  await using server = fibrpc.spawn(["serve"], { env: { FIBRPC_QUEUE: served } });
  await server.waitForStderr(new RegExp(`Awaiting RPC requests on ${served} `));
  const call = async (queue: string, ...args: string[]) =>
    (await fibrpc.run(["call", "30", ...args], { env: { FIBRPC_QUEUE: queue } })).code;
  assertEquals(await call(served), 0);
  assertEquals(await call(served, "--queue", missing), 5);
  assertEquals(await call(missing, "--queue", served), 0);
});

Deno.test("settings: --timeout comes before FIBRPC_TIMEOUT, which must be a time", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("settings");
  await peer.declare(queue);
  const call = (timeout: string, ...args: string[]) =>
    fibrpc.run(["call", "30", "--queue", queue, ...args], { env: { FIBRPC_TIMEOUT: timeout } });
  assertMatch((await call("400ms")).stderr, /deadline_exceeded.*400 ms/);
  assertMatch((await call("60s", "--timeout", "400ms")).stderr, /deadline_exceeded.*400 ms/);
  const { code, stderr } = await call("5");
  assertEquals(code, 2);
  assertMatch(stderr, /^fibrpc: FIBRPC_TIMEOUT="5" .*5s.*\n$/);
});

Deno.test("settings: a password in --url is warned of, in the environment not; never shown", async () => {
  const secret = "hunter2,and/more@%";
  const url = withPassword(broker.url, secret);
  for (const command of [["call", "30"], ["serve"]]) {
    const warned = await fibrpc.run([...command, "--url", url]);
    assertEquals(warned.code, 3);
    assertMatch(warned.stderr, /warn.*the password in --url/i);
    const silent = await new CommandLine(url).run(command);
    assertEquals(silent.code, 3);
    assert(!/warn/i.test(silent.stderr), silent.stderr);
    for (const { stdout, stderr } of [warned, silent]) {
      assertEquals(stdout, "");
      for (const form of [secret, encodeURIComponent(secret), "hunter2"]) {
        assert(!stderr.includes(form), stderr);
      }
    }
  }
});

Deno.test("settings: a URL from the environment is refused with the variable's name", async () => {
  for (const name of ["FIBRPC_URL", "AMQP_URL"]) {
    const env = { FIBRPC_URL: "", [name]: BAD };
    const { code, stderr } = await new CommandLine("").run(["call", "30"], { env });
    assertEquals(code, 2);
    assertMatch(stderr, new RegExp(`^fibrpc: ${name}: broker URL must start with amqp://`));
    assert(!stderr.includes(BAD), stderr);
  }
});

Deno.test("settings: a URL that is refused is shown without its password", async () => {
  const broken = ["amqp://u:hunter2@host:99999", "amqp://u:hunter2@", "http://u:hunter2@host"];
  for (const url of broken) {
    const { code, stderr } = await fibrpc.run(["call", "30", "--url", url]);
    assertEquals(code, 2);
    assert(!stderr.includes("hunter2"), stderr);
  }
});

Deno.test("settings: the files of the working directory count for nothing", async () => {
  const queue = uniqueQueue("settings");
  await using _server = await fibrpc.serve(queue);
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  try {
    const env = `FIBRPC_URL=${BAD}\nFIBRPC_QUEUE=${queue}-not\nFIBRPC_TIMEOUT=${BAD}\n`;
    const files = {
      ".env": env,
      ".env.local": env,
      ".env.production": env,
      "bunfig.toml": 'preload = ["./preload.js"]\n',
      "preload.js": "process.exit(99);\n",
      "package.json": '{ "type": "commonjs", "imports": { "#x": "./preload.js" } }\n',
      "deno.json": '{ "imports": { "commander": "./preload.js" } }\n',
    };
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const outcome = await runBare(["call", "30", "--queue", queue], {
      cwd: folder,
      env: { AMQP_URL: broker.url },
    });
    assertEquals(outcome, { code: 0, signal: null, stdout: "832040\n", stderr: "" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("settings: variables of the runtime run no scripts", async () => {
  const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
  try {
    const script = `${folder}/preload.js`;
    await Deno.writeTextFile(script, "process.exit(99);\n");
    const options = [`--preload ${script}`, `--require ${script}`, "--print 1", "--cpu-prof"];
    // Who runs the sources with `deno run` gets what that command makes of Node's variable.
    const isExecutable = fibrpcCommand().args.length === 0;
    for (const BUN_OPTIONS of options) {
      const env = { BUN_OPTIONS, ...(isExecutable && { NODE_OPTIONS: `--require ${script}` }) };
      const { code, stdout, stderr } = await runBare(["call", "--version"], { cwd: folder, env });
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertMatch(stdout, /^fibrpc [^\n]*\n$/);
    }
    assertEquals([...Deno.readDirSync(folder)].length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("settings: it runs with an empty environment, from the root folder", async () => {
  const queue = uniqueQueue("settings");
  await using _server = await fibrpc.serve(queue);
  const args = ["call", "30", "--queue", queue, "--url", broker.url];
  const { code, stdout } = await runBare(args, { cwd: "/" });
  assertEquals({ code, stdout }, { code: 0, stdout: "832040\n" });
});

/** Runs it with no environment but `env`, and what Deno needs to find its cache. */
function runBare(
  fibrpcArgs: string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
) {
  const { command, args } = fibrpcCommand();
  const cache: Record<string, string> = {};
  if (command === Deno.execPath()) {
    for (const name of ["HOME", "DENO_DIR", "XDG_CACHE_HOME"]) {
      const value = Deno.env.get(name);
      if (value !== undefined) cache[name] = value;
    }
  }
  return run(command, [...args, ...fibrpcArgs], { cwd, env: { ...cache, ...env }, clearEnv: true });
}
