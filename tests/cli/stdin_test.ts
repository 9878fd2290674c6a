/** `fibrpc call -`: numbers from standard input. */
import { assertEquals, assertMatch } from "@std/assert";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { spawn } from "../support/process.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { CommandLine } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

const INPUTS: [string, string, string][] = [
  ["nothing", "", ""],
  ["no final newline", "7\n8", "13\n21\n"],
  ["CRLF", "7\r\n8\r\n", "13\n21\n"],
  ["blank lines", "\n\n7\n \n\t\r\n8\n\n", "13\n21\n"],
  ["whitespace around and leading zeros", " 7\n08 \n\t009\t\n", "13\n21\n34\n"],
];

for (const [what, stdin, stdout] of INPUTS) {
  Deno.test(`call -: ${what}`, async () => {
    const queue = uniqueQueue("stdin");
    await using _server = await fibrpc.serve(queue);
    const outcome = await fibrpc.run(["call", "-", "--queue", queue], { stdin });
    assertEquals(outcome, { code: 0, signal: null, stdout, stderr: "" });
  });
}

Deno.test("call -: an empty input needs no broker", async () => {
  const outcome = await new CommandLine("amqp://127.0.0.1:1").run(["call", "-"], { stdin: "" });
  assertEquals(outcome, { code: 0, signal: null, stdout: "", stderr: "" });
});

Deno.test("call 1 - 2: the lines come where the - is", async () => {
  const queue = uniqueQueue("stdin");
  await using _server = await fibrpc.serve(queue);
  const args = ["call", "10", "-", "20", "--queue", queue];
  const { code, stdout } = await fibrpc.run(args, { stdin: "30\n40\n" });
  assertEquals({ code, stdout }, { code: 0, stdout: "55\n832040\n102334155\n6765\n" });
});

Deno.test("call -: answers each line when it comes, not at the end of the input", async () => {
  const queue = uniqueQueue("stdin");
  await using _server = await fibrpc.serve(queue);
  await using call = fibrpc.spawn(["call", "-", "--queue", queue], { stdin: "piped" });
  await call.write("10\n20");
  await call.waitForStdout(/^55\n$/);
  await call.write("0\n30\n");
  await call.waitForStdout(/^55\n\d{42}\n832040\n$/);
  await call.closeStdin();
  assertEquals((await call.waitForExit()).code, 0);
});

Deno.test("call -: 20,000 numbers, in order", async () => {
  const queue = uniqueQueue("stdin");
  await using _server = await fibrpc.serve(queue);
  const fib = [0n, 1n];
  while (fib.length < 1000) fib.push(fib.at(-1)! + fib.at(-2)!);
  const numbers = Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 1000);
  const { code, stdout, stderr } = await fibrpc.run(["call", "-", "--queue", queue], {
    stdin: numbers.map((n) => `${n}\n`).join(""),
  });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout.split("\n"), [...numbers.map((n) => `${fib[n]}`), ""]);
});

Deno.test("call -: a number of a million digits reaches the server, which refuses it", async () => {
  const queue = uniqueQueue("stdin");
  await using _server = await fibrpc.serve(queue);
  const stdin = `${"9".repeat(1_000_000)}\n30\n`;
  const { code, stdout, stderr } = await fibrpc.run(["call", "-", "--queue", queue], { stdin });
  assertEquals({ code, stdout }, { code: 1, stdout: "832040\n" });
  assertMatch(stderr, /^fibrpc: out_of_range: .{1,200}\n$/);
});

Deno.test("call - | head -1: ends with its reader, quietly, though more could be read", async () => {
  const queue = uniqueQueue("stdin");
  await using _server = await fibrpc.serve(queue);
  const { command, args } = fibrpcCommand();
  const script = '{ "$@"; echo "exit code $?" >&2; } | head -n 1';
  await using shell = spawn(
    "sh",
    ["-c", script, "sh", command, ...args, "call", "-", "--queue", queue],
    { env: { FIBRPC_URL: broker.url, FIBRPC_TIMEOUT: "" }, stdin: "piped" },
  );
  // More results than a pipe holds: they can't all be written before `head` ends.
  await shell.write("1000\n".repeat(5_000));
  await shell.waitForExit();
  assertMatch(shell.stdout, /^\d{209}\n$/);
  assertEquals(shell.stderr, "exit code 0\n");
});
