import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { run, spawn } from "./process.ts";

const sh = (script: string) => ["-c", script];

Deno.test("run() passes input on and collects both outputs and the code", async () => {
  const outcome = await run("sh", sh("cat; echo oops >&2; exit 7"), {
    stdin: "in",
  });
  assertEquals(outcome, {
    code: 7,
    signal: null,
    stdout: "in",
    stderr: "oops\n",
  });
});

Deno.test("run() doesn't mind a program that doesn't read its input", async () => {
  const { code } = await run("sh", sh("exit 0"), {
    stdin: "x".repeat(1_000_000),
  });
  assertEquals(code, 0);
});

Deno.test("run() fails for a program that takes too long, and kills it", async () => {
  const start = performance.now();
  const error = await assertRejects(
    () => run("sh", sh("echo begun; exec sleep 60"), { timeoutMs: 300 }),
    Error,
  );
  assertStringIncludes(error.message, "begun");
  assert(performance.now() - start < 30_000);
});

Deno.test("spawn() honours env, clearEnv and cwd", async () => {
  const script = sh('echo "${HOME-no home} $COLOUR $(pwd)"');
  const env = { COLOUR: "blue", PATH: Deno.env.get("PATH") ?? "" };
  const bare = await run("sh", script, { env, clearEnv: true, cwd: "/" });
  assertEquals(bare.stdout, "no home blue /\n");
});

Deno.test("Program.waitForStdout() finds what was and what will be written", async () => {
  await using program = spawn("sh", sh("echo one; read x; echo got $x; cat"), {
    stdin: "piped",
  });
  await program.waitForStdout(/one/);
  await program.waitForStdout(/one/);
  assertEquals(program.ended, false);
  await program.write("two\n");
  const [, word] = await program.waitForStdout(/got (\w+)\n/);
  assertEquals(word, "two");
  await program.closeStdin();
  assertEquals(await program.waitForExit(), { code: 0, signal: null });
});

Deno.test("Program.waitForStderr() fails when the program ends, and tells its output", async () => {
  await using program = spawn("sh", sh("echo why >&2; echo what; exit 3"));
  const error = await assertRejects(
    () => program.waitForStderr(/ready/),
    Error,
  );
  for (const part of ["why", "what", "code 3", "/ready/"]) {
    assertStringIncludes(error.message, part);
  }
});

Deno.test("Program.waitForStderr() fails in time", async () => {
  await using program = spawn("sh", sh("echo seen >&2; exec sleep 60"));
  await program.waitForStderr(/seen/);
  const error = await assertRejects(
    () => program.waitForStderr(/ready/, 50),
    Error,
  );
  assertStringIncludes(error.message, "seen");
});

Deno.test("Program.kill() sends a signal, and is harmless after the end", async () => {
  await using program = spawn("sleep", ["60"]);
  program.kill("SIGTERM");
  assertEquals((await program.status).signal, "SIGTERM");
  program.kill("SIGTERM");
});

Deno.test("disposing of a program kills it", async () => {
  const program = spawn("sh", sh("trap '' TERM; echo up; exec sleep 60"));
  await program.waitForStdout(/up/);
  await program[Symbol.asyncDispose]();
  assertEquals((await program.status).signal, "SIGKILL");
});
