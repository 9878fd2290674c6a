/** The command line as a function: what it is given is all that it touches. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { version } from "../../src/cli/version.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";
import { FakeProcess as ProcessWithoutBroker } from "./fake_process.ts";

const broker = await sharedBroker();

/** A process with the tests' broker. */
class FakeProcess extends ProcessWithoutBroker {
  override readonly env: Record<string, string> = { FIBRPC_URL: broker.url };
}

Deno.test("--version: names the version and the runtime, in each form", async () => {
  const expected = `fibrpc ${config.version} (deno ${Deno.version.deno})\n`;
  assertEquals(`fibrpc ${version()}\n`, expected);
  for (const args of [["--version"], ["-V"], ["call", "--version"], ["serve", "-V"]]) {
    const outcome = await new FakeProcess(...args).run();
    assertEquals(outcome, { code: 0, stdout: expected, stderr: "" });
  }
  const { code, stdout, stderr } = await new CommandLine("").run(["--version"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^fibrpc \d+\.\d+\.\d+ \((bun|deno|node) \d+\.\d+\.\d+\)\n$/);
});

const OPTIONS = {
  serve: [
    "--url <url>",
    "--password-file <file>",
    "--tls-ca <file>",
    "--tls-cert <file>",
    "--tls-key <file>",
    "--queue <name>",
    "--max-message-bytes <count>",
    "--max-n <n>",
    "--max-time <time>",
    "--workers <count>",
    "--concurrency <count>",
    "--content-type <type>",
    "--prefetch <count>",
    "--max-attempts <count>",
    "--no-quarantine",
    "--allow-reply-to <pattern...>",
    "--drain-timeout <time>",
    "--http <[host:]port>",
    "--queue-metrics <time>",
    "--health-file <file>",
    "--exit-on-disconnect",
    "--queue-type <type>",
    "--heartbeat <seconds>",
    "--log-level <level>",
    "--log-format <format>",
    "--quiet",
    "--help",
  ],
  call: [
    "--url <url>",
    "--password-file <file>",
    "--tls-ca <file>",
    "--tls-cert <file>",
    "--tls-key <file>",
    "--queue <name>",
    "--max-message-bytes <count>",
    "--body <text|@file|->",
    "--lines <@file|->",
    "--header <name: value>",
    "--content-type <type>",
    "--idempotent",
    "--in-flight <count>",
    "--timeout <time>",
    "--connect-timeout <time>",
    "--reply <path>",
    "--require-server",
    "--output <format>",
    "--heartbeat <seconds>",
    "--log-level <level>",
    "--log-format <format>",
    "--quiet",
    "--help",
  ],
};

for (const [command, options] of Object.entries(OPTIONS)) {
  Deno.test(`${command} --help: lists every option, on stdout`, async () => {
    for (const args of [[command, "--help"], ["help", command]]) {
      const { code, stdout, stderr } = await new FakeProcess(...args).run();
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      const listed = stdout.matchAll(/^ +(?:-\w, )?(--\S+(?: <[^>]+>)?)/gm);
      assertEquals([...listed].map(([, option]) => option), options);
    }
  });
}

Deno.test("--help: names the commands, the variables and the exit codes", async () => {
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await new FakeProcess(...args).run();
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    for (const command of Object.keys(OPTIONS)) {
      assertMatch(stdout, new RegExp(`^  ${command} `, "m"));
    }
    for (const name of ["FIBRPC_URL", "AMQP_URL", "FIBRPC_QUEUE", "FIBRPC_TIMEOUT"]) {
      assertMatch(stdout, new RegExp(`\\b${name}\\b`));
    }
    assertMatch(stdout, /Exit codes: 0 [^]*130/);
  }
});

Deno.test("program: an option that is none is told from the nearest", async () => {
  const { code, stderr } = await new FakeProcess("call", "30", "--timeuot", "5s").run();
  assertEquals(code, 2);
  assertStringIncludes(stderr, "'--timeuot'\n(Did you mean --timeout?)");
});

Deno.test("program: of an option that is given twice, the last counts", async () => {
  const url = ["--url", "amqp://127.0.0.1:1"];
  const args = ["call", "30", ...url, "--connect-timeout", "1h", "--connect-timeout=1ms"];
  assertEquals((await new FakeProcess(...args).run()).code, 3);
});

Deno.test("program: takes its streams and variables from its environment", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("program");
  await peer.serve(queue, (request) => ({ body: `${request}0` }));
  const process = new FakeProcess("call", "1", "-");
  process.env.FIBRPC_QUEUE = queue;
  process.stdin.end("2\n3\n");
  assertEquals(await process.run(), { code: 0, stdout: "10\n20\n30\n", stderr: "" });
  assertEquals(process.exits, []);
});

Deno.test("program: a signal ends a call; a second one ends the process at once", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("program");
  await peer.declare(queue);
  const process = new FakeProcess("call", "1", "-", "--queue", queue);
  const outcome = process.run();
  await waitFor(async () => (await peer.look(queue)).messages === 1, { what: "the request" });
  process.signal("SIGINT", 1_000);
  process.signal("SIGTERM", 1_499);
  assertEquals(process.exits, []);
  process.signal("SIGTERM", 1_500);
  assertEquals(process.exits, [143]);
  const { code, stdout, stderr } = await outcome;
  assertEquals(code, 130);
  assertEquals({ stdout, stderr }, { stdout: "", stderr: "" });
});

Deno.test("program: results that were there before the input broke off are printed", async () => {
  await using peer = await RawChannel.open(broker.url);
  const queue = uniqueQueue("program");
  const process = new FakeProcess("call", "1", "-", "3", "--queue", queue);
  await peer.serve(queue, (request) => {
    if (request === "2") process.stdin.destroy(new Error("input/output error"));
    return { body: `${request}0` };
  });
  process.stdin.on("error", () => {}).write("2\nx\n");
  const { code, stdout, stderr } = await process.run();
  assertEquals({ code, stdout }, { code: 2, stdout: "10\n20\n30\n" });
  assertMatch(stderr, /^fibrpc: .*line 2 of .*"x".*\nfibrpc: .*input\/output error\n$/);
});

Deno.test("program: what nobody expected is a failure, with its stack on one line", async () => {
  const process = new FakeProcess("call", "30");
  Object.defineProperty(process.env, "FIBRPC_QUEUE", {
    get: () => {
      throw new TypeError("a\nb");
    },
  });
  const { code, stdout, stderr } = await process.run();
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertMatch(stderr, /^fibrpc: TypeError: a.* {4}at .*\n$/);
});

Deno.test("program: what is quoted of a command line does nothing to a terminal", async () => {
  const unsafe = "x\n\x1b[31m\u202e";
  const escaped = "x\\u000a\\u001b[31m\\u202e";
  for (
    const args of [
      [unsafe],
      ["call", "30", `--${unsafe}`],
      ["call", unsafe],
      ["call", "30", "--timeout", unsafe],
      ["call", "30", `--output=${unsafe}`],
      ["call", "30", "--url", unsafe],
    ]
  ) {
    const { code, stderr } = await new FakeProcess(...args).run();
    assertEquals([code, /^[\n -~]*$/.test(stderr)], [2, true], JSON.stringify(stderr));
    for (const line of stderr.trimEnd().split("\n")) assertMatch(line, /^(fibrpc: |\(see )/);
    if (!args.includes("--url")) {
      assert(stderr.replaceAll("\\n", "\\u000a").includes(escaped), stderr);
    }
  }
});

for (const format of ["text", "json"]) {
  Deno.test(`program: a log in ${format} has a line for each record, whatever it holds`, async () => {
    const process = new FakeProcess("serve", "--log-format", format);
    process.env.FIBRPC_QUEUE = uniqueQueue("program");
    const outcome = process.run();
    let log = "";
    process.stderr.on("data", (text) => log += text);
    await waitFor(() => log.includes("Awaiting"), { what: "the server" });
    process.warn("Warning: a\nb\x1b[31m\u009b1m\u202e\u00a0");
    process.signal("SIGTERM");
    assertEquals((await outcome).code, 0);
    assertEquals(/^[\n -~]*$/.test(log), true, JSON.stringify(log));
    const [warning, ...others] = log.split("\n").filter((line) => line.includes("Warning: a"));
    assertEquals(others, []);
    assertMatch(warning!, /Warning: a\\nb\\(u00|x)1b\[31m\\(u00|x)9b1m\\u202e\\u00a0/);
  });
}

Deno.test("program: what the runtime warns of is a record in JSON too; so are dropped lines", async () => {
  // RabbitMQ 4.3 refuses a transient queue, which is a warning too.
  const options = ["--queue", uniqueQueue("program"), "--queue-type", "classic"];
  const process = new FakeProcess("serve", ...options);
  const outcome = process.run();
  let log = "";
  process.stderr.on("data", (text) => log += text);
  await waitFor(() => log.includes("Awaiting"), { what: "the server" });
  process.warn("TimeoutOverflowWarning: too long\nto say");
  process.stderr.write(process.stderr.describeLost!(7));
  process.signal("SIGTERM");
  await outcome;
  const records = log.trimEnd().split("\n").map((line) => JSON.parse(line));
  const warnings = records.filter(({ level }) => level === "warning");
  assertEquals(warnings.map(({ message }) => message), [
    "TimeoutOverflowWarning: too long\nto say",
    "7 lines of this log were dropped: nobody read them",
  ]);
  assertEquals(warnings[1].count, 7);
});

Deno.test("program: reads no more than a slow standard output takes", async () => {
  const LINES = 20_000;
  class SlowProcess extends FakeProcess {
    readonly sizes: number[] = [];

    override async writeStdout(bytes: Uint8Array): Promise<void> {
      this.sizes.push(bytes.length);
      await new Promise((resolve) => setTimeout(resolve, 10));
      await super.writeStdout(bytes);
    }
  }
  const process = new SlowProcess("call", "-", "--output", "json");
  process.stdin.end("x\n".repeat(LINES)); // Refused here: no broker is asked.
  const { code, stdout } = await process.run();
  assertEquals([code, stdout.split("\n").length - 1], [2, LINES]);
  // What came while one piece was written is the next: as much as may wait, and a few lines.
  const largest = Math.max(...process.sizes);
  assertEquals(largest < 2 * 65_536, true, `${largest} bytes waited`);
});

Deno.test("program: a standard input that can't be read is told, exit code 2", async () => {
  const process = new FakeProcess("call", "-");
  process.stdin.on("error", () => {}).destroy(new Error("input/output error"));
  const { code, stdout, stderr } = await process.run();
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(stderr, /^fibrpc: .*standard input.*input\/output error\n$/);
});

Deno.test("program: serves, and its second signal ends the process at once", async () => {
  const process = new FakeProcess("serve", "--queue", uniqueQueue("program"));
  const outcome = process.run();
  let log = "";
  process.stderr.on("data", (text) => log += text);
  await waitFor(() => log.includes("Awaiting RPC requests"), { what: "the server" });
  process.signal("SIGTERM", 1_000);
  process.signal("SIGINT", 1_499);
  assertEquals(process.exits, []);
  process.signal("SIGINT", 1_500);
  assertEquals(process.exits, [130]);
  const { code, stdout } = await outcome;
  assertEquals({ code, stdout }, { code: 0, stdout: "" });
});

Deno.test("program: text on a terminal, JSON elsewhere", async () => {
  for (const isTTY of [true, false]) {
    const process = new FakeProcess("serve");
    process.env.FIBRPC_URL = "amqp://127.0.0.1:1";
    Object.assign(process.stderr, { isTTY });
    let log = "";
    process.stderr.on("data", (text) => log += text);
    const outcome = process.run();
    await waitFor(() => log.includes("\n"), { what: "a line of the log" });
    process.signal("SIGINT");
    assertEquals((await outcome).code, 0);
    assert(log.startsWith("{") !== isTTY, log);
  }
});
