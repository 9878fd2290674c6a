import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Environment } from "../../src/cli/environment.ts";
import { Progress } from "../../src/cli/io/progress.ts";
import { StderrWriter } from "../../src/cli/io/stderr_writer.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { run } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";

function newEnvironment({ isTTY = true, isStdoutTerminal = false } = {}) {
  const stderr = { write() {}, status: "", isTTY };
  return { stderr, environment: { stderr, isStdoutTerminal } as unknown as Environment };
}

Deno.test("Progress: after a second, how many of how many, how fast, how long still", () => {
  using clock = new FakeClock();
  const { stderr, environment } = newEnvironment();
  const progress = new Progress(environment, 200);
  for (let i = 0; i < 50; i++) progress.add();
  clock.advance(999);
  assertEquals(stderr.status, "");
  clock.advance(1);
  assertEquals(stderr.status, "[=====               ] 50/200, 50/s, 3s left");
  for (let i = 0; i < 150; i++) progress.add();
  clock.advance(200);
  assertEquals(stderr.status, "[====================] 200/200, 167/s, 0s left");
  progress.end();
  assertEquals([stderr.status, clock.timers], ["", 0]);
});

Deno.test("Progress: of an unknown number, how many; of a slow one, with a digit more", () => {
  using clock = new FakeClock();
  const { stderr, environment } = newEnvironment();
  const progress = new Progress(environment, undefined);
  progress.add();
  clock.advance(2_000);
  assertEquals(stderr.status, "1 done, 0.5/s");
  progress.end();
  const slow = new Progress(environment, 1_000);
  clock.advance(1_000);
  assertEquals(stderr.status, "[                    ] 0/1000, 0.0/s");
  slow.add();
  clock.advance(1_000);
  assertMatch(stderr.status, / 1\/1000, 0.5\/s, 33m18s left$/);
  slow.end();
});

Deno.test("Progress: not in a pipe, not where the results are on the screen", () => {
  using clock = new FakeClock();
  for (const terminals of [{ isTTY: false }, { isStdoutTerminal: true }]) {
    const { stderr, environment } = newEnvironment(terminals);
    const progress = new Progress(environment, 5);
    clock.advance(5_000);
    progress.end();
    assertEquals([stderr.status, clock.timers], ["", 0]);
  }
});

Deno.test("StderrWriter.status: stays below the lines that are written", async () => {
  let written = "";
  const stderr = new StderrWriter((bytes) => {
    written += new TextDecoder().decode(bytes);
    return Promise.resolve();
  });
  stderr.write("before\n");
  stderr.status = "1 of 2";
  stderr.write("a line\n");
  stderr.status = "";
  stderr.status = "";
  stderr.write("after\n");
  await stderr.flush();
  const erase = "\r\x1b[K";
  assertEquals(written, `before\n${erase}1 of 2${erase}a line\n1 of 2${erase}after\n`);
});

Deno.test("call: a long batch shows its progress on a terminal, and leaves nothing of it there", async () => {
  const broker = await sharedBroker();
  const queue = uniqueQueue("progress");
  await using peer = await RawChannel.open(broker.url);
  await peer.declare(queue); // Nobody answers.
  const { command, args } = fibrpcCommand();
  const call = [command, ...args, "call", "1..5", "--queue", queue, "--timeout", "1500ms"];
  const script = `${call.map((word) => `'${word}'`).join(" ")} > /dev/null`;
  const { code, stdout } = await run("script", ["-qec", script, "/dev/null"], {
    env: { FIBRPC_URL: broker.url },
  });
  assertEquals(code, 4);
  assertStringIncludes(stdout, `\r\x1b[K[${" ".repeat(20)}] 0/5, 0.0/s`);
  const lines = stdout.split("\n").map((line) => line.split("\x1b[K").at(-1)!.trim());
  assertEquals(lines.filter((line) => !line.startsWith("fibrpc: deadline_exceeded:")), [""]);
  assertEquals(lines.length, 6);
});
