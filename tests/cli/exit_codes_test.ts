/** Every exit code of `fibrpc call`, reached with the real program. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { AMQPProperties } from "@cloudamqp/amqp-client";
import { RPC_ERROR_CODES } from "../../src/errors.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { freePorts } from "../support/ports.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { run } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine, parseResults, withPassword } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

/** What comes of a call of fib(30), answered by a server that isn't ours. */
async function callAnswered(body: string, properties: AMQPProperties = {}) {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("exit");
  await peer.serve(queue, () => ({ body, properties }));
  return await fibrpc.run(["call", "30", "--queue", queue]);
}

function errorReply(code: string): Promise<Awaited<ReturnType<typeof callAnswered>>> {
  return callAnswered(JSON.stringify({ code, message: "because" }), {
    type: "error",
    contentType: "application/json",
    headers: { "x-error-code": code },
  });
}

Deno.test("exit code 0: a result, and nothing else on either stream", async () => {
  const { code, stdout, stderr } = await callAnswered("832040");
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "832040\n", stderr: "" });
});

for (const refusal of RPC_ERROR_CODES) {
  Deno.test(`exit code 1: ${refusal} from a server`, async () => {
    const { code, stdout, stderr } = await errorReply(refusal);
    assertEquals({ code, stdout }, { code: 1, stdout: "" });
    assertMatch(stderr, new RegExp(`^fibrpc: ${refusal}: .*because\n$`));
  });
}

Deno.test("exit code 1: an error code that nobody knows, named", async () => {
  const { code, stderr } = await errorReply("on_fire");
  assertEquals(code, 1);
  assertMatch(stderr, /^fibrpc: internal: .*on_fire.*because\n$/);
});

Deno.test("exit code 1: a reply that is no number, quoted", async () => {
  const { code, stdout, stderr } = await callAnswered("eight hundred");
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertMatch(stderr, /^fibrpc: internal: .*"eight hundred"/);
});

Deno.test("exit code 1: what our own server refuses to compute", async () => {
  const queue = uniqueQueue("exit");
  await using _server = await fibrpc.serve(queue, "--max-n", "100000000");
  const call = async (n: string) => {
    const args = ["call", n, "--output", "json", "--queue", queue];
    const { code, stdout } = await fibrpc.run(args);
    const [result] = parseResults(stdout);
    return [code, result!.error?.code];
  };
  assertEquals(await call("100000001"), [1, "out_of_range"]);
  assertEquals(await call("90000000"), [1, "resource_exhausted"]);
});

Deno.test({
  name: "exit code 1: results that can't be written, and why",
  ignore: !await exists("/dev/full"),
  async fn() {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("exit");
    await peer.serve(queue, () => ({ body: "832040" }));
    const { command, args } = fibrpcCommand();
    const { code, stderr } = await run("sh", [
      ...["-c", '"$@" >/dev/full', "sh"],
      ...[command, ...args, "call", "30", "--queue", queue],
    ], { env: { FIBRPC_URL: broker.url, FIBRPC_TIMEOUT: "" } });
    assertEquals(code, 1);
    assertMatch(stderr, /^fibrpc: can't write .*space.*\n$/i);
  },
});

Deno.test("exit code 2: a wrong argument, and nothing is sent", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("exit");
  await peer.declare(queue);
  const { code, stdout, stderr } = await fibrpc.run(["call", "30", "x", "--queue", queue]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertStringIncludes(stderr, '"x"');
  assertEquals((await peer.look(queue)).messages, 0);
});

Deno.test("exit code 2: a wrong line of stdin fails first, the others are answered", async () => {
  const queue = uniqueQueue("exit");
  await using _server = await fibrpc.serve(queue);
  const call = async (stdin: string) => {
    const { code, stdout } = await fibrpc.run(["call", "-", "--queue", queue], { stdin });
    return { code, stdout };
  };
  assertEquals(await call("x\n30\n1000001\n"), { code: 2, stdout: "832040\n" });
  assertEquals(await call("1000001\n30\nx\n"), { code: 1, stdout: "832040\n" });
});

Deno.test("exit code 3: no broker, within --connect-timeout and --timeout", async () => {
  const [port] = freePorts(1);
  // Connections to it are made, and never answered.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const call = async (port: number, ...args: string[]) => {
    const { code, stdout } = await new CommandLine(`amqp://127.0.0.1:${port}`)
      .run(["call", "30", "--output", "json", ...args]);
    const { error, ms } = parseResults(stdout)[0]!;
    assertEquals([code, error?.code], [3, "unavailable"]);
    assertStringIncludes(error!.message, `127.0.0.1:${port}`);
    return ms;
  };
  const limits = [
    ["--connect-timeout", "500ms"],
    ["--connect-timeout", "20s", "--timeout", "500ms"],
  ];
  for (const limit of limits) {
    assert(await call(port!, ...limit) < 4_000, `refused: ${limit}`);
    assert(await call(silent.addr.port, ...limit) < 4_000, `silent: ${limit}`);
  }
});

Deno.test("exit code 0: the first broker is dead, the second works", async () => {
  const [port] = freePorts(1);
  const queue = uniqueQueue("exit");
  await using _server = await fibrpc.serve(queue);
  const env = { FIBRPC_URL: `amqp://127.0.0.1:${port},${broker.url}` };
  const args = ["call", "30", "--queue", queue];
  assertEquals((await fibrpc.run(args, { env })).stdout, "832040\n");
});

Deno.test("exit code 3: a wrong password, at once and never shown", async () => {
  const secret = "hunter2-and-more";
  const cli = new CommandLine(withPassword(broker.url, secret));
  const args = ["call", "30", "--connect-timeout", "60s", "--timeout", "60s"];
  const { code, stdout, stderr } = await cli.run([...args, "--log-level", "debug"]);
  assertEquals({ code, stdout }, { code: 3, stdout: "" });
  assertStringIncludes(stderr, "fibrpc: unauthenticated: ");
  assert(!stderr.includes(secret), stderr);
  const [result] = parseResults((await cli.run([...args, "--output", "json"])).stdout);
  assertEquals(result!.error?.code, "unauthenticated");
  assert(!result!.error!.message.includes(secret));
  assert(result!.ms < 20_000, `${result!.ms} ms`);
});

Deno.test("exit code 3: a virtual host that doesn't exist", async () => {
  const url = new URL(broker.url);
  url.pathname = "/no-such-vhost";
  const { code, stdout, stderr } = await new CommandLine(url.href).run(["call", "30"]);
  assertEquals({ code, stdout }, { code: 3, stdout: "" });
  assertMatch(stderr, /^fibrpc: permission_denied: .*no-such-vhost/);
});

Deno.test("exit code 3: the broker is lost while a call waits, and doesn't come back", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("exit");
  await peer.declare(queue);
  const { hostname, port } = new URL(broker.url);
  await using proxy = await startProxy(Number(port), { hostname });
  const cli = new CommandLine(proxy.url(broker.url));
  await using call = cli.spawn(["call", "30", "--queue", queue, "--timeout", "2s"]);
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  await proxy.close();
  assertEquals((await call.waitForExit()).code, 3);
  assertEquals(call.stdout, "");
  assertMatch(call.stderr, /^fibrpc: unavailable: .*reconnecting/m);
});

Deno.test("exit code 4: nobody answers in time; it says how many there are", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("exit");
  await peer.declare(queue);
  await peer.send(queue, "29");
  const { code, stdout, stderr } = await fibrpc
    .run(["call", "30", "--queue", queue, "--timeout", "4s"]);
  assertEquals({ code, stdout }, { code: 4, stdout: "" });
  assertMatch(
    stderr,
    /^fibrpc: deadline_exceeded: .*fib\(30\).*4s.*0 consumers, 2 waiting: no server/,
  );
  assertStringIncludes(stderr, queue);
});

Deno.test("exit code 5: the queue doesn't exist", async () => {
  const queue = uniqueQueue("exit");
  const { code, stdout, stderr } = await fibrpc.run(["call", "30", "--queue", queue]);
  assertEquals({ code, stdout }, { code: 5, stdout: "" });
  assertMatch(stderr, /^fibrpc: no_server: .*fibrpc serve/);
  assertStringIncludes(stderr, queue);
});

Deno.test("exit code 5: --require-server, and nobody consumes the queue", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("exit");
  await peer.declare(queue);
  const args = ["call", "30", "--queue", queue, "--require-server"];
  const { code, stdout, stderr } = await fibrpc.run(args);
  assertEquals({ code, stdout }, { code: 5, stdout: "" });
  assertMatch(stderr, /^fibrpc: no_server: .*fibrpc serve/);
  assertEquals((await peer.look(queue)).messages, 0);
});

for (
  const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGQUIT", 131], [
    "SIGTERM",
    143,
  ]] as const
) {
  Deno.test(`exit code ${code}: ${signal} while calls wait, with no word`, async () => {
    await using peer = await RawChannel.open(broker.url);
    const queue = uniqueQueue("exit");
    await peer.declare(queue);
    await using call = fibrpc.spawn(["call", "30", "31", "--queue", queue]);
    const sent = async () => (await peer.look(queue)).messages === 2;
    await waitFor(sent, { what: "the requests" });
    call.kill(signal);
    assertEquals(await call.waitForExit(), { code, signal: null });
    assertEquals([call.stdout, call.stderr], ["", ""]);
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
