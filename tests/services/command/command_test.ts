import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../../src/errors.ts";
import { createHandlerContext, RequeueError } from "../../../src/rpc/server/handler.ts";
import { commandHandler, type CommandOptions } from "../../../src/services/command/command.ts";
import { CollectedLog } from "../../support/log.ts";
import { running } from "../../support/processes.ts";
import { waitFor } from "../../support/wait.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function shell(script: string, options: Partial<CommandOptions> = {}) {
  return commandHandler({ command: ["/bin/sh", "-c", script], env: { PATH }, ...options });
}

/** A time to sleep that no other process sleeps. */
let nap = 100_000 + Math.floor(Math.random() * 100_000) * 10;
const uniqueNap = () => String(nap++);

async function failure(promise: PromiseLike<unknown> | unknown): Promise<RpcError> {
  return await assertRejects(async () => await promise, RpcError);
}

Deno.test("commandHandler: bytes in, bytes out", async () => {
  await using cat = commandHandler({ command: ["/bin/cat"] });
  const context = createHandlerContext();
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const body of [all, new Uint8Array(), encoder.encode("'; $(reboot) `reboot` \n&& \\")]) {
    assertEquals(await cat(body, context), body);
  }
});

Deno.test("commandHandler: 16 MiB both ways, several at a time", async () => {
  await using cat = commandHandler({ command: ["/bin/cat"] });
  const body = new Uint8Array(16 << 20).fill(7);
  for (const output of await Promise.all([0, 1, 2].map(() => cat(body, createHandlerContext())))) {
    assertEquals([output.length, output.every((byte) => byte === 7)], [body.length, true]);
  }
});

Deno.test("commandHandler: a command need not read what it is sent", async () => {
  await using handler = shell("exec 0<&-; echo answered");
  const output = await handler(new Uint8Array(16 << 20), createHandlerContext());
  assertEquals(decoder.decode(output), "answered\n");
});

Deno.test("commandHandler: the arguments are the command's, the environment as given and the request's", async () => {
  await using env = commandHandler({ command: ["/usr/bin/env"], env: { A: "1" } });
  const output = await env(new Uint8Array(), createHandlerContext({ correlationId: "id" }));
  assertEquals(decoder.decode(output).trim().split("\n").sort(), [
    "A=1",
    "FIBRPC_REDELIVERED=false",
    "FIBRPC_REQUEST_ID=id",
  ]);
});

const EXITS: [script: string, code: string, message: RegExp][] = [
  ["exit 3", "internal", /^the command ended with exit code 3$/],
  ["echo secret >&2; exit 1", "internal", /^the command ended with exit code 1$/],
  ["kill -9 $$", "internal", /^the command was ended by SIGKILL$/],
  ["echo first >&2; echo 'no such order' >&2; exit 64", "invalid_argument", /^no such order$/],
  ["printf 'bad \\033[31m colour' >&2; exit 65", "invalid_argument", /^bad \\u001b\[31m colour$/],
  ["exit 65", "invalid_argument", /^the command refused the request \(exit code 65\)$/],
];
for (const [script, code, message] of EXITS) {
  Deno.test(`commandHandler: ${script} is ${code}`, async () => {
    await using handler = shell(`echo output; ${script}`);
    const error = await failure(handler(new Uint8Array(), createHandlerContext()));
    assertEquals(error.code, code);
    assertMatch(error.message, message);
  });
}

Deno.test("commandHandler: standard error is logged line by line with the request's id", async () => {
  await using log = await CollectedLog.start();
  await using handler = shell("echo one >&2; echo two >&2; echo out");
  await handler(new Uint8Array(), createHandlerContext({ correlationId: "id.7" }));
  const lines = log.records.filter(({ category }) => category.includes("command"));
  assertEquals(lines.map(({ properties }) => [properties.line, properties.requestId]), [
    ["one", "id.7"],
    ["two", "id.7"],
  ]);
});

Deno.test("commandHandler: at the end of its time, the whole group ends", async () => {
  const [own, other] = [uniqueNap(), uniqueNap()];
  await using handler = shell(`sleep ${own} & sleep ${other}`);
  const giveUp = new AbortController();
  const result = failure(
    handler(new Uint8Array(), createHandlerContext({ signal: giveUp.signal })),
  );
  await waitFor(() => running(own) + running(other) === 2, { what: "both to run" });
  giveUp.abort();
  assertMatch((await result).message, /SIGTERM/);
  await waitFor(() => running(own) + running(other) === 0, { what: "both to end" });
});

Deno.test("commandHandler: what ignores SIGTERM is killed", async () => {
  const time = uniqueNap();
  await using handler = shell(`trap '' TERM; sleep ${time}`);
  const giveUp = new AbortController();
  const result = failure(
    handler(new Uint8Array(), createHandlerContext({ signal: giveUp.signal })),
  );
  await waitFor(() => running(time) === 1, { what: "it to run" });
  giveUp.abort();
  assertMatch((await result).message, /ended by SIGKILL|exit code 137/);
  assertEquals(running(time), 0);
});

Deno.test("commandHandler: a request that was given up before its command runs ends it", async () => {
  const time = uniqueNap();
  await using handler = shell(`sleep ${time}`);
  const context = createHandlerContext({ signal: AbortSignal.abort() });
  assertMatch((await failure(handler(new Uint8Array(), context))).message, /SIGTERM/);
  assertEquals(running(time), 0);
});

Deno.test("commandHandler: what a command leaves behind holds no caller, and ends", async () => {
  await using log = await CollectedLog.start();
  const time = uniqueNap();
  await using handler = shell(`echo answered; sleep ${time} & exit 0`);
  const output = await handler(new Uint8Array(), createHandlerContext());
  assertEquals(decoder.decode(output), "answered\n");
  assertEquals(log.messages(/held its output/, "warning").length, 1);
  await waitFor(() => running(time) === 0, { what: "it to end" });
});

Deno.test("commandHandler: a process that stood still after the command's end reads all of its output", async () => {
  await using handler = shell("(sleep 0.5; echo late) & exit 0");
  const result = handler(new Uint8Array(), createHandlerContext());
  await new Promise((resolve) => setTimeout(resolve, 250));
  for (const end = performance.now() + 1_500; performance.now() < end;);
  assertEquals(decoder.decode(await result), "late\n");
});

Deno.test("commandHandler: a flood of output ends the command", async () => {
  const time = uniqueNap();
  await using handler = shell(`sleep ${time} & cat /dev/zero`, { maxMessageBytes: 100_000 });
  const error = await failure(handler(new Uint8Array(), createHandlerContext()));
  assertEquals(error.code, "resource_exhausted");
  assertMatch(error.message, /over 100000 bytes/);
  await waitFor(() => running(time) === 0, { what: "all of it to end" });
});

Deno.test("commandHandler: a flood on standard error costs no memory, and stops at a bound", async () => {
  await using log = await CollectedLog.start();
  await using handler = shell("yes some words | head -c 20000000 >&2; echo done");
  const output = await handler(new Uint8Array(), createHandlerContext());
  assertEquals(decoder.decode(output), "done\n");
  assertEquals(log.messages(/^some words$/).length, 1_000);
  assertEquals(log.messages(/more lines/, "warning").length, 1);
});

Deno.test("commandHandler: one that can't be started gives the request back, ever later", async () => {
  const failures: [string, number][] = [];
  await using handler = commandHandler({
    command: ["/nowhere/command"],
    observer: { startFailed: (reason, inARow) => failures.push([reason, inARow]) },
  });
  const start = performance.now();
  const requeued = () =>
    assertRejects(
      async () => await handler(new Uint8Array(), createHandlerContext()),
      RequeueError,
      "can't start /nowhere/command: ENOENT",
    );
  await Promise.all([requeued(), requeued(), requeued()]);
  assert(performance.now() - start >= 199);
  await requeued();
  assert(performance.now() - start >= 598);
  // Those that fail at the same time are one failure.
  assertEquals(failures.map(([, inARow]) => inARow), [1, 2]);
});

Deno.test("commandHandler.close: ends what runs", async () => {
  const time = uniqueNap();
  const handler = shell(`sleep ${time}`);
  const result = failure(handler(new Uint8Array(), createHandlerContext()));
  await waitFor(() => running(time) === 1, { what: "it to run" });
  await handler.close();
  assertEquals(running(time), 0);
  assertMatch((await result).message, /SIGTERM/);
});

Deno.test("commandHandler: refuses what is no command", () => {
  for (const command of [[], [""], ["a\0b"], ["cat", 1]] as unknown as [string][]) {
    assertThrows(() => commandHandler({ command }), RpcError, "a command is a program");
  }
  assertThrows(() => commandHandler({ command: ["cat"], maxMessageBytes: 0 }), RpcError);
});
