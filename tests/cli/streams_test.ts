/** Standard streams that are closed, full, gone or slow: on every base of the executable. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fibonacciDecimal } from "../../src/services/fibonacci/math/decimal.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { fibrpcOnDeno } from "../support/deno_bundle.ts";
import { fibrpcCommand } from "../support/fibrpc_command.ts";
import { memoryOf } from "../support/memory.ts";
import { run, type RunOptions, spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";
import { waitFor } from "../support/wait.ts";
import { CommandLine } from "./command_line.ts";

const broker = await sharedBroker();
const fibrpc = new CommandLine(broker.url);
const env = { FIBRPC_URL: broker.url, AMQP_URL: "", FIBRPC_QUEUE: "", FIBRPC_TIMEOUT: "" };

/** Fills the pipe behind standard error, without a change to the pipe itself. */
const FILL = "yes | dd of=/proc/self/fd/3 oflag=nonblock bs=4096 3>&2 2>/dev/null; ";

/** Makes a stream one that doesn't block, as another program that shares a pipe may do. */
const NON_BLOCKING = `
import fcntl, os, sys
stream = int(sys.argv[1])
fcntl.fcntl(stream, fcntl.F_SETFL, fcntl.fcntl(stream, fcntl.F_GETFL) | os.O_NONBLOCK)
os.execvp(sys.argv[2], sys.argv[2:])`;

const BASES = [
  ["the program", fibrpcCommand()],
  ["the bundle on Deno", await fibrpcOnDeno()],
] as const;

for (const [base, { command, args: first }] of BASES) {
  /** Runs a shell's script, in which \`"$@"\` is the program and its arguments. */
  const shell = (script: string, args: readonly string[], options: RunOptions = {}) =>
    run("sh", ["-c", script, "sh", command, ...first, ...args], { ...options, env });
  const version = await run(command, [...first, "--version"]);
  const canSeeClosed = version.stdout.includes("(bun");
  const NOPE = ["call", "30", "--queue", uniqueQueue("nope")];

  Deno.test(`streams, ${base}: a standard error that can't be written changes no exit code`, async () => {
    for (const redirection of ["2>&-", "2>/dev/full", "<&- >&- 2>&-"]) {
      assertEquals((await shell(`"$@" ${redirection}`, NOPE)).code, 5, redirection);
      assertEquals((await shell(`"$@" ${redirection}`, ["call", "x"])).code, 2, redirection);
      assertEquals((await shell(`"$@" ${redirection}`, ["--nope"])).code, 2, redirection);
    }
  });

  Deno.test(`streams, ${base}: status and doctor end when their reader goes, or can't be written to`, async () => {
    const queue = uniqueQueue("streams");
    await using _server = await fibrpc.serve(queue);
    const own = ["--queue", queue];
    const COMMANDS = [["status", ...own], ["doctor", ...own], ["doctor", "--list"]];
    for (const args of [["status", "--watch", "50ms", ...own], ...COMMANDS]) {
      const { stdout, stderr } = await shell('"$@" | head -n 1; echo end', args, {
        timeoutMs: 20_000,
      });
      assertMatch(stdout, /^.+\nend\n$/, args.join(" "));
      assertEquals(stderr, "", args.join(" "));
    }
    for (const args of [["status", "--watch", "50ms", ...own], ...COMMANDS]) {
      const { code, stderr } = await shell('"$@" >/dev/full', args, { timeoutMs: 20_000 });
      assertEquals(code, 1, args.join(" "));
      assertMatch(stderr, /^fibrpc: can't write the results: .*\n$/, args.join(" "));
    }
  });

  Deno.test(`streams, ${base}: a closed standard output is a failure, /dev/null is none`, async () => {
    const queue = uniqueQueue("streams");
    await using _server = await fibrpc.serve(queue);
    const call = ["call", "30", "--queue", queue];
    const silent = { code: 0, signal: null, stdout: "", stderr: "" };
    assertEquals(await shell('"$@" >/dev/null', call), silent);
    assertEquals(await shell('"$@" <>/dev/null >&0', call), silent);
    if (!canSeeClosed) return;
    const { code, stderr } = await shell('"$@" >&-', call);
    assertEquals([code, stderr], [1, "fibrpc: can't write the results: it is closed\n"]);
    assertEquals((await shell('"$@" <&- >&- 2>&-', call)).code, 1);
    const help = await shell('"$@" >&-', ["--help"]);
    assertEquals([help.code, help.stderr], [1, "fibrpc: can't write the help: it is closed\n"]);
  });

  Deno.test(`streams, ${base}: a standard input that can't be read, and why`, async () => {
    const folder = await shell('"$@" </', ["call", "-"]);
    assertEquals([folder.code, folder.stdout], [2, ""]);
    assertMatch(folder.stderr, /^fibrpc: can't read standard input: .*directory.*\n$/);
    assertEquals((await shell('"$@" </dev/null', ["call", "-"])).code, 0);
    if (!canSeeClosed) return;
    const closed = await shell('"$@" <&-', ["call", "-"]);
    assertEquals([closed.code, closed.stderr], [
      2,
      "fibrpc: can't read standard input: it is closed\n",
    ]);
  });

  Deno.test(`streams, ${base}: a line without an end is refused, in bounded memory`, async () => {
    await using call = spawn("sh", [
      ...["-c", 'exec "$@" </dev/zero', "sh"],
      ...[command, ...first, "call", "-"],
    ], { env });
    let peak = 0;
    while (!call.ended) {
      peak = Math.max(peak, (await memoryOf(call.pid).catch(() => undefined))?.peak ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assertEquals((await call.waitForExit()).code, 2);
    assertMatch(call.stderr, /^fibrpc: can't read standard input: line 1 is longer than \d+ .*\n$/);
    assert(peak < 400, `${peak} MiB`);
  });

  Deno.test(`streams, ${base}: a signal ends the reading of an endless input`, async () => {
    await using call = spawn("sh", [
      ...["-c", `yes "" | sh -c 'echo $$ >&2; exec "$@"' sh "$@"`, "sh"],
      ...[command, ...first, "call", "-"],
    ], { env });
    const [, pid] = await call.waitForStderr(/^(\d+)\n/);
    // It listens for signals, and reads.
    await waitFor(async () => await catches(Number(pid), 15), { what: "its listener" });
    Deno.kill(Number(pid), "SIGTERM");
    assertEquals((await call.waitForExit()).code, 143);
  });

  for (const [what, prepare] of [["full", FILL], ["gone", ""]] as const) {
    const open = (args: readonly string[]) => {
      const child = new Deno.Command("sh", {
        args: ["-c", `${prepare}exec "$@"`, "sh", command, ...first, ...args],
        env,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      return { child, cancel: () => child.stderr.cancel() };
    };

    Deno.test(`streams, ${base}: call: a standard error whose pipe is ${what}`, async () => {
      const { child, cancel } = open(NOPE);
      if (what === "gone") await cancel();
      assertEquals((await child.status).code, 5);
      if (what === "full") await cancel();
    });

    Deno.test(`streams, ${base}: serve: a standard error whose pipe is ${what}`, async () => {
      const queue = uniqueQueue("streams");
      await using peer = await RawChannel.open(broker.url);
      await peer.declare(queue);
      const { child, cancel } = open(["serve", "--queue", queue, "--log-level", "debug"]);
      try {
        if (what === "gone") await cancel();
        for (let round = 1; round <= 3; round++) {
          // Each of them is a line in its log.
          await peer.send(queue, "no number", { correlationId: `${round}` });
          await peer.waitForReplies(round);
        }
        child.kill("SIGTERM");
        assertEquals((await child.status).code, 0);
      } finally {
        await kill(child);
        if (what === "full") await cancel();
      }
    });
  }

  Deno.test(`streams, ${base}: pipes that don't block lose nothing`, async () => {
    const queue = uniqueQueue("streams");
    await using _server = await fibrpc.serve(queue);
    const python = (stream: number, args: string[], stdin: "null" | "piped") => ({
      args: ["-c", NON_BLOCKING, `${stream}`, command, ...first, ...args],
      env,
      stdin,
      stdout: "piped" as const,
      stderr: "piped" as const,
    });
    const numbers = ["1000000", "30", "999999", "7"];
    const child = new Deno.Command(
      "/usr/bin/python3",
      python(1, ["call", ...numbers, "--queue", queue], "null"),
    ).spawn();
    const pieces: Uint8Array[] = [];
    for await (const piece of child.stdout) {
      pieces.push(piece);
      await new Promise((resolve) => setTimeout(resolve, 5)); // It has to wait for its reader.
    }
    const errors = await new Response(child.stderr).text();
    assertEquals([(await child.status).code, errors], [0, ""]);
    const expected = numbers.map((n) => `${fibonacciDecimal(Number(n))}\n`).join("");
    const text = await new Blob(pieces as BlobPart[]).text();
    assert(text === expected, `${text.length} characters, not ${expected.length}`);

    const reading = new Deno.Command(
      "/usr/bin/python3",
      python(0, ["call", "-", "--queue", queue], "piped"),
    ).spawn();
    const input = reading.stdin.getWriter();
    const output = new Response(reading.stdout).text();
    const stderr = new Response(reading.stderr).text();
    await input.write(new TextEncoder().encode("10\n"));
    await new Promise((resolve) => setTimeout(resolve, 100)); // It has to wait for more.
    await input.write(new TextEncoder().encode("20\n"));
    await input.close();
    assertEquals([(await reading.status).code, await output, await stderr], [0, "55\n6765\n", ""]);
  });

  Deno.test(`streams, ${base}: it listens for signals before anything else`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "fibrpc-test-" });
    try {
      const password = `${folder}/password`;
      assertEquals((await run("mkfifo", [password])).code, 0);
      await using server = spawn(command, [...first, "serve", "--password-file", password], {
        env,
      });
      // It waits for the password, which never comes.
      const signals = [2, 3, 15];
      await waitFor(async () => {
        const caught = await Promise.all(signals.map((signal) => catches(server.pid, signal)));
        return caught.every(Boolean);
      }, { what: "its listeners" });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** Whether a process has a handler for a signal, by its number. */
async function catches(pid: number, signal: number): Promise<boolean> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const caught = BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(status)![1]}`);
  return (caught >> BigInt(signal - 1) & 1n) === 1n;
}

async function kill(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
  await child.status;
}
