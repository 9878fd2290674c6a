/** What a slow reader of stdout sees, and whether it stops the program. */
import { assert, assertEquals } from "@std/assert";
import { fibonacciDecimal } from "../../src/services/fibonacci/math/decimal.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { CommandLine } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);

/** `fibrpc call`, both its outputs in one pipe, of which nothing is read yet. */
function spawnCall(queue: string, ...numbers: string[]) {
  const { command, args } = fibrpcCommand();
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" 2>&1', "sh", command, ...args, "call", "--queue", queue, ...numbers],
    env: { FIBRPC_URL: broker.url, FIBRPC_TIMEOUT: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  return { child, reader: child.stdout.getReader({ mode: "byob" }) };
}

Deno.test("call: a slow reader gets each byte once, with a failure in the same pipe too", async () => {
  const queue = uniqueQueue("stdout");
  await using _server = await fibrpc.serve(queue);
  const numbers = ["9".repeat(20), "1000000", "999999"];
  const { child, reader } = spawnCall(queue, ...numbers);
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(10_000));
    if (done) break;
    pieces.push(value);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const lines = (await new Blob(pieces as BlobPart[]).text()).split("\n");
  assertEquals((await child.status).code, 1);
  const expected = [fibonacciDecimal(1_000_000), fibonacciDecimal(999_999)];
  const digits = lines.filter((line) => /^\d+$/.test(line));
  assertEquals(digits.map(({ length }) => length), expected.map(({ length }) => length));
  assert(digits.every((text, index) => text === expected[index]), "wrong digits");
  assertEquals(lines.filter((line) => line.startsWith("fibrpc: out_of_range: ")).length, 1);
});

Deno.test("call: two signals end it while its reader reads nothing", async () => {
  const queue = uniqueQueue("stdout");
  await using _server = await fibrpc.serve(queue);
  const { child, reader } = spawnCall(queue, "1000000");
  // It has begun to write more than a pipe holds.
  assertEquals((await reader.read(new Uint8Array(1))).value?.length, 1);
  child.kill("SIGTERM");
  // Two at once may be heard as one. It may be gone, but not seen to be.
  const timer = setInterval(() => {
    try {
      child.kill("SIGTERM");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }, 100);
  const bound = setTimeout(() => child.kill("SIGKILL"), 20_000);
  try {
    assertEquals((await child.status).code, 143);
  } finally {
    clearInterval(timer);
    clearTimeout(bound);
    await reader.cancel();
  }
});
