/** `fibrpc call`: what it prints. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { CommandLine, parseResults } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

Deno.test("call: several n, their results in the order asked", async () => {
  const queue = uniqueQueue("call");
  await using _server = await fibrpc.serve(queue);
  const args = ["call", "200000", "30", "0", "1", "90", "--queue", queue];
  const { code, stdout, stderr } = await fibrpc.run(args);
  const [large, ...small] = stdout.split("\n");
  assertEquals(large!.length, 41_798);
  assertEquals(small, ["832040", "0", "1", "2880067194370816120", ""]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("call: leading zeros and whitespace around n are left out", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("call");
  await peer.serve(queue, (request) => ({ body: `1${request}1` }));
  const args = ["call", "0030", " 7 ", "\t8\n", "000", "--queue", queue];
  assertEquals((await fibrpc.run(args)).stdout, "1301\n171\n181\n101\n");
});

Deno.test("call --output json: an object for each, values with all their digits", async () => {
  const queue = uniqueQueue("call");
  await using _server = await fibrpc.serve(queue);
  const args = ["call", "030", "100", "--output", "json", "--queue", queue];
  const { code, stdout, stderr } = await fibrpc.run(args);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const results = parseResults(stdout);
  assertEquals(new Set(results.map(({ requestId }) => requestId)).size, 2);
  assertEquals(results.map(({ ms: _, requestId: __, ...rest }) => rest), [
    { v: 1, n: 30, value: "832040" },
    { v: 1, n: 100, value: "354224848179261915075" },
  ]);
  for (const { ms } of results) assert(ms > 0 && ms < 60_000, `${ms}`);
});

Deno.test("call --output json: a failure has its code, message and place", async () => {
  const queue = uniqueQueue("call");
  await using _server = await fibrpc.serve(queue, "--max-n", "1000");
  const args = ["call", "1", "-", "2", "--output", "json", "--queue", queue];
  const { code, stdout, stderr } = await fibrpc.run(args, { stdin: "1001\nno number\n3\n" });
  assertEquals({ code, stderr }, { code: 1, stderr: "" });
  const results = parseResults(stdout);
  assertEquals(results.map(({ n, value, error }) => [n, value ?? error?.code]), [
    [1, "1"],
    [1001, "out_of_range"],
    ["no number", "invalid_argument"],
    [3, "2"],
    [2, "1"],
  ]);
  assertStringIncludes(results[1]!.error!.message, "1001");
  assertStringIncludes(results[2]!.error!.message, "no number");
});

Deno.test("call: a failure doesn't stop the others; the first one decides the exit code", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("call");
  // 4 answers first, and fails otherwise than 3.
  const failures: Record<string, string> = { "3": "internal", "4": "unavailable" };
  await peer.serve(queue, (request) => {
    const code = failures[request];
    if (code === undefined) return { body: request };
    const body = JSON.stringify({ code, message: `no ${request}` });
    return { body, properties: { type: "error", headers: { "x-error-code": code } } };
  });
  const call = (...n: string[]) => fibrpc.run(["call", ...n, "--queue", queue]);
  const { code, stdout, stderr } = await call("1", "3", "2", "4", "5");
  assertEquals({ code, stdout }, { code: 1, stdout: "1\n2\n5\n" });
  assertMatch(stderr, /^fibrpc: internal: .*no 3\nfibrpc: unavailable: .*no 4\n$/);
  const lines = async (stdin: string) =>
    (await fibrpc.run(["call", "-", "--queue", queue], { stdin })).code;
  assertEquals([await lines("1\nx\n3\n"), await lines("4\n2\nx\n")], [2, 1]);
});

Deno.test("call --quiet: a failure is told by the exit code only", async () => {
  const queue = uniqueQueue("call");
  const args = ["call", "30", "--quiet", "--queue", queue];
  const { code, stdout, stderr } = await fibrpc.run(args);
  assertEquals({ code, stdout, stderr }, { code: 5, stdout: "", stderr: "" });
});

Deno.test("call: one trouble of many calls is told once, and in each JSON object", async () => {
  const nowhere = new CommandLine("amqp://127.0.0.1:1");
  const args = ["call", "1", "2", "3", "--connect-timeout", "200ms"];
  const { code, stdout, stderr } = await nowhere.run(args);
  assertEquals({ code, stdout }, { code: 3, stdout: "" });
  assertEquals(stderr.match(/^fibrpc: unavailable: /gm)?.length, 1);
  const results = parseResults((await nowhere.run([...args, "--output", "json"])).stdout);
  const codes = results.map(({ n, error }) => [n, error?.code]);
  assertEquals(codes, [[1, "unavailable"], [2, "unavailable"], [3, "unavailable"]]);
});

Deno.test("call --reply queue: the same results, over a queue of its own", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("call");
  const paths: string[] = [];
  await peer.declare(queue);
  await peer.channel.basicConsume(queue, { noAck: true }, (request) => {
    const { replyTo, correlationId } = request.properties;
    paths.push(replyTo!);
    peer.channel.basicPublish("", replyTo!, "832040", { correlationId: correlationId! });
  });
  for (const reply of ["direct", "queue"]) {
    const args = ["call", "30", "30", "--reply", reply, "--queue", queue];
    assertEquals((await fibrpc.run(args)).stdout, "832040\n832040\n", reply);
  }
  assertEquals(paths.map((path) => path.startsWith("amq.rabbitmq.reply-to.")), [
    true,
    true,
    false,
    false,
  ]);
  assertEquals(paths[2], paths[3]);
});
