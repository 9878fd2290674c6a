/** `fibrpc call` with many numbers: what ends it before its input does. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { freePorts } from "../support/ports.ts";
import { type Outcome, run } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { CommandLine, parseResults, withPassword } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);
const { hostname, port } = new URL(broker.url);

/** `fibrpc call` with the output of `producer` as its input. */
function callPiped(producer: string, url: string, ...args: string[]): Promise<Outcome> {
  const { command, args: first } = fibrpcCommand();
  const script = `${producer} | "$@"`;
  return run("sh", ["-c", script, "sh", command, ...first, "call", "-", ...args], {
    env: { FIBRPC_URL: url, AMQP_URL: "", FIBRPC_QUEUE: "", FIBRPC_TIMEOUT: "" },
  });
}

const noVhost = new URL(broker.url);
noVhost.pathname = "/no-such-vhost";

const REFUSALS: [string, string, string][] = [
  ["a wrong password", withPassword(broker.url, "wrong"), "unauthenticated"],
  ["no such virtual host", noVhost.href, "permission_denied"],
];

for (const [what, url, code] of REFUSALS) {
  Deno.test(`batch: ${what} ends an endless input after one attempt, with one line`, async () => {
    await using proxy = await startProxy(Number(port), { hostname });
    const outcome = await callPiped("yes 30", proxy.url(url));
    assertEquals([outcome.code, outcome.stdout], [3, ""]);
    assertMatch(outcome.stderr, new RegExp(`^fibrpc: ${code}: .*\\n$`));
    assertEquals(proxy.accepted, 1);
  });

  Deno.test(`batch: ${what} doesn't wait for more input`, async () => {
    const cli = new CommandLine(url);
    await using call = cli.spawn(["call", "-", "7"], { stdin: "piped" });
    await call.write("30\n");
    assertEquals((await call.waitForExit()).code, 3);
  });

  Deno.test(`batch: ${what} has an object in JSON for each number at hand`, async () => {
    await using proxy = await startProxy(Number(port), { hostname });
    const numbers = Array.from({ length: 1_000 }, (_, n) => `${n}`);
    const cli = new CommandLine(proxy.url(url));
    const outcome = await cli.run(["call", ...numbers, "--output", "json"]);
    assertEquals([outcome.code, outcome.stderr], [3, ""]);
    const results = parseResults(outcome.stdout);
    assertEquals(results.map(({ n }) => `${n}`), numbers);
    assert(results.every(({ error }) => error?.code === code), outcome.stdout);
    assertEquals(proxy.accepted, 1);
  });
}

Deno.test("batch: TLS that a broker doesn't speak ends an endless input, with one line", async () => {
  const url = broker.url.replace("amqp:", "amqps:");
  const outcome = await callPiped("yes 30", url);
  assertEquals([outcome.code, outcome.stdout], [3, ""]);
  assertMatch(outcome.stderr, /^fibrpc: unavailable: .*\n$/);
});

Deno.test("batch: no broker ends an endless input after one --connect-timeout, with one line", async () => {
  const [closed] = freePorts(1);
  const outcome = await callPiped(
    "yes 30",
    `amqp://127.0.0.1:${closed}`,
    "--connect-timeout",
    "200ms",
  );
  assertEquals([outcome.code, outcome.stdout], [3, ""]);
  assertMatch(outcome.stderr, /^fibrpc: unavailable: .*\n$/);
});

Deno.test("batch: no queue ends an endless input, with one line and a count", async () => {
  const outcome = await callPiped("yes 30", broker.url, "--queue", uniqueQueue("batch"));
  assertEquals([outcome.code, outcome.stdout], [5, ""]);
  assertMatch(
    outcome.stderr,
    /^fibrpc: no_server: .*fib\(30\).*fibrpc serve.*\nfibrpc: no_server: \d+ other calls failed likewise\n$/,
  );
});

Deno.test("batch: no queue has an object in JSON for each number", async () => {
  const args = ["call", "-", "--queue", uniqueQueue("batch"), "--output", "json"];
  const numbers = Array.from({ length: 1_000 }, (_, n) => n);
  const { code, stdout, stderr } = await fibrpc.run(args, { stdin: numbers.join("\n") });
  assertEquals([code, stderr], [5, ""]);
  const results = parseResults(stdout);
  assertEquals(results.map(({ n }) => n), numbers);
  for (const { n, error } of results) {
    assertEquals(error!.code, "no_server");
    assertMatch(
      error!.message,
      new RegExp(`fib\\(${n}\\).*start a server with "fibrpc serve"\\)$`),
    );
  }
});

Deno.test("batch: a queue that is gone for a while ends no input that was answered before", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("batch");
  await peer.serve(queue, (request) => ({ body: `${request}0` }));
  await using call = fibrpc.spawn(["call", "-", "--queue", queue], { stdin: "piped" });
  await call.write("1\n");
  await call.waitForStdout(/^10\n$/);
  await peer.channel.queueDelete(queue);
  await call.write("2\n");
  await call.waitForStderr(/no_server/);
  await peer.serve(queue, (request) => ({ body: `${request}0` }));
  await call.write("3\n");
  await call.waitForStdout(/^10\n30\n$/);
  await call.closeStdin();
  assertEquals((await call.waitForExit()).code, 5);
});

Deno.test("batch: a line that is no number is named by its place in the input", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("batch");
  await peer.serve(queue, (request) => ({ body: `${request}0` }));
  const stdin = "\uFEFF1\r\n\n\uFEFF2\n3\u00a04\n\x1b[31m5\n6\0\n";
  const args = ["call", "-", "--queue", queue];
  const { code, stdout, stderr } = await fibrpc.run(args, { stdin });
  assertEquals([code, stdout], [2, "10\n20\n"]);
  const rest = "is not a non-negative decimal integer";
  assertEquals(stderr.split("\n"), [
    `fibrpc: invalid_argument: line 4 of standard input: "3\\u00a04" ${rest}`,
    `fibrpc: invalid_argument: line 5 of standard input: "\\u001b[31m5" ${rest}`,
    `fibrpc: invalid_argument: line 6 of standard input: "6\\u0000" ${rest}`,
    "",
  ]);
  const json = await fibrpc.run([...args, "--output", "json"], { stdin: "1\n\nx\n" });
  assertEquals(json.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line).line), [
    undefined,
    3,
  ]);
});

Deno.test("batch: what a server says does nothing to a terminal", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("batch");
  const message = "a\nfibrpc: b\x1b]0;c\x07\u202e";
  await peer.serve(queue, () => ({
    body: JSON.stringify({ code: "internal", message }),
    properties: { type: "error" },
  }));
  const { code, stderr } = await fibrpc.run(["call", "30", "--queue", queue]);
  assertEquals(code, 1);
  assertMatch(stderr, /^fibrpc: internal: [ -~]*a\\u000afibrpc: b\\u001b\]0;c\\u0007\\u202e\n$/);
});
