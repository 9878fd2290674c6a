import { assert, assertEquals } from "@std/assert";
import { PassThrough } from "node:stream";
import type { Environment } from "../../src/cli/environment.ts";
import { type NumberFormat, numberFormat } from "../../src/cli/io/number_format.ts";
import { ResultWriter } from "../../src/cli/io/result_writer.ts";
import { RpcError } from "../../src/errors.ts";

/** Takes what is written, at once unless it is told to hold. */
class Stdout {
  readonly pieces: string[] = [];
  /** What the next writes wait for. */
  held: Promise<void> | undefined;

  async write(bytes: Uint8Array): Promise<void> {
    await this.held;
    this.pieces.push(new TextDecoder().decode(bytes));
  }

  get text(): string {
    return this.pieces.join("");
  }
}

function newWriter(format: NumberFormat, { quiet = false } = {}) {
  const stdout = new Stdout();
  const stderr = new PassThrough({ encoding: "utf8" });
  const environment: Environment = {
    args: [],
    env: {},
    allVariables: () => ({}),
    isStdoutTerminal: false,
    identity: "host:1",
    stdin: new PassThrough(),
    writeStdout: (bytes) => stdout.write(bytes),
    stderr,
    onSignal() {},
    onWarning() {},
    exit() {},
  };
  return { writer: new ResultWriter(environment, numberFormat(format), quiet), stdout, stderr };
}

const error = new RpcError("out_of_range", 'n = "31" is over 30');

Deno.test("ResultWriter: text: values to stdout, failures to stderr, what fails all of them once", async () => {
  const { writer, stdout, stderr } = newWriter("text");
  // One refusal ends many calls, each with an error of its own.
  const refusal = () => new RpcError("unauthenticated", "the broker refused the user");
  writer.write({ text: "7", value: "13", ms: 1 });
  writer.write({ text: "31", error, ms: 1 });
  for (const text of ["1", "2", "3"]) writer.write({ text, error: refusal(), ms: 1 });
  writer.write({ text: "32", error, ms: 1 });
  writer.write({ text: "8", value: "21", ms: 1 });
  await writer.end();
  assertEquals(stdout.text, "13\n21\n");
  const { message } = error;
  assertEquals(stderr.read().split("\n"), [
    `fibrpc: out_of_range: ${message}`,
    "fibrpc: unauthenticated: the broker refused the user",
    `fibrpc: out_of_range: ${message}`,
    "",
  ]);
});

Deno.test("ResultWriter: JSON: an object per line, failures too, n with all its digits", async () => {
  const { writer, stdout, stderr } = newWriter("json");
  const large = "123456789012345678901234567890";
  writer.write({ text: " 007\r", value: large, ms: 1.23456 });
  writer.write({ text: "000", value: "0", ms: 2 });
  writer.write({ text: large, error, ms: 0.0001 });
  writer.write({ text: 'x"\n', error, ms: 1e-9 });
  await writer.end();
  const failure = `"error":{"code":"out_of_range","message":"n = \\"31\\" is over 30"}`;
  assertEquals(
    stdout.text,
    [
      `{"v":1,"n":7,"value":"${large}","ms":1.235}`,
      `{"v":1,"n":0,"value":"0","ms":2}`,
      `{"v":1,"n":${large},${failure},"ms":0}`,
      `{"v":1,"n":"x\\"\\n",${failure},"ms":0}`,
      "",
    ].join("\n"),
  );
  assertEquals(stderr.read(), null);
});

Deno.test("ResultWriter: quiet: failures are not told, but in JSON", async () => {
  const text = newWriter("text", { quiet: true });
  text.writer.write({ text: "31", error, ms: 1 });
  await text.writer.end();
  assertEquals([text.stdout.text, text.stderr.read()], ["", null]);
  const json = newWriter("json", { quiet: true });
  json.writer.write({ text: "31", error, ms: 1 });
  await json.writer.end();
  assertEquals(JSON.parse(json.stdout.text).error.code, "out_of_range");
});

Deno.test("ResultWriter: one write for what comes in one turn", async () => {
  const { writer, stdout } = newWriter("text");
  for (const value of ["1", "2", "3"]) writer.write({ text: value, value, ms: 1 });
  await writer.end();
  writer.write({ text: "4", value: "4", ms: 1 });
  await writer.end();
  assertEquals(stdout.pieces, ["1\n2\n3\n", "4\n"]);
});

Deno.test("ResultWriter: one write at a time, of all that came during the one before", async () => {
  const { writer, stdout } = newWriter("text");
  const { promise, resolve } = Promise.withResolvers<void>();
  stdout.held = promise;
  writer.write({ text: "1", value: "1", ms: 1 });
  await Promise.resolve();
  for (const value of ["2", "3"]) writer.write({ text: value, value, ms: 1 });
  await Promise.resolve();
  assertEquals(stdout.pieces, []);
  resolve();
  await writer.end();
  assertEquals(stdout.pieces, ["1\n", "2\n3\n"]);
});

Deno.test("ResultWriter: is ready again when its reader has caught up", async () => {
  const { writer, stdout } = newWriter("text");
  const { promise, resolve } = Promise.withResolvers<void>();
  stdout.held = promise;
  writer.write({ text: "30", value: "832040".repeat(10_000), ms: 1 });
  assertEquals(writer.ready(), undefined);
  writer.write({ text: "30", value: "832040".repeat(1_000), ms: 1 });
  const ready = writer.ready();
  assert(ready !== undefined);
  await Promise.resolve();
  assertEquals(writer.ready(), ready);
  resolve();
  await ready;
  assertEquals(writer.ready(), undefined);
});

for (const [code, failure] of [["EPIPE", undefined], ["ENOSPC", "no room"]] as const) {
  Deno.test(`ResultWriter: ${code} ends every wait, and is ${failure ? "a" : "no"} failure`, async () => {
    const { writer, stdout } = newWriter("text");
    const { promise, reject } = Promise.withResolvers<void>();
    stdout.held = promise;
    writer.write({ text: "30", value: "832040".repeat(20_000), ms: 1 });
    const ready = writer.ready();
    assert(ready !== undefined);
    assertEquals(writer.failure, undefined);
    reject(Object.assign(new Error("no room"), { code }));
    await Promise.all([ready, writer.closed, writer.end()]);
    assertEquals(writer.ready(), undefined);
    writer.write({ text: "30", value: "832040", ms: 1 });
    await writer.end();
    assertEquals(stdout.pieces, []);
    assertEquals(writer.failure, failure);
  });
}

Deno.test("ResultWriter: text: the line that a number comes from, where the failure is the number's", async () => {
  const { writer, stderr } = newWriter("text");
  writer.write({ text: "31", line: 7, error, ms: 1 });
  writer.write({ text: "32", line: 8, error: new RpcError("unavailable", "no broker"), ms: 1 });
  await writer.end();
  assertEquals(
    stderr.read(),
    `fibrpc: out_of_range: line 7 of standard input: ${error.message}\n` +
      "fibrpc: unavailable: no broker\n",
  );
});

Deno.test("ResultWriter: JSON: a failure has the line that its number comes from", async () => {
  const { writer, stdout } = newWriter("json");
  writer.write({ text: "7", line: 6, value: "13", ms: 1 });
  writer.write({ text: "31", line: 7, error, ms: 1 });
  await writer.end();
  const [success, failure] = stdout.text.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(success, { v: 1, n: 7, value: "13", ms: 1 });
  assertEquals(failure.line, 7);
});

Deno.test("ResultWriter: text: of many calls without a server one is reported, the others are counted", async () => {
  const reported = async (calls: number, quiet = false) => {
    const { writer, stderr } = newWriter("text", { quiet });
    for (let n = 1; n <= calls; n++) {
      writer.write({ text: `${n}`, error: new RpcError("no_server", `nobody, ${n}`), ms: 1 });
    }
    await writer.end();
    return stderr.read();
  };
  const first = "fibrpc: no_server: nobody, 1\n";
  assertEquals(await reported(1), first);
  assertEquals(await reported(2), `${first}fibrpc: no_server: 1 other call failed likewise\n`);
  assertEquals(await reported(9), `${first}fibrpc: no_server: 8 other calls failed likewise\n`);
  assertEquals(await reported(9, true), null);
});

/** What would act on a terminal, forge a line, or not be seen. */
const UNSAFE = "\x1b[2Ja\nfibrpc: b\r\u009b1mc\u202ed\u2028e\u00a0f\0\u{e0001}\ud800";

Deno.test("ResultWriter: text: what comes from outside is one line, and does nothing to a terminal", async () => {
  const { writer, stderr } = newWriter("text");
  writer.write({ text: "31", error: new RpcError("internal", UNSAFE), ms: 1 });
  await writer.end();
  assertEquals(
    stderr.read(),
    "fibrpc: internal: \\u001b[2Ja\\u000afibrpc: b\\u000d\\u009b1mc\\u202ed\\u2028e\\u00a0f\\u0000" +
      "\\udb40\\udc01\\ud800\n",
  );
});

Deno.test("ResultWriter: JSON: what comes from outside does nothing to a terminal, and is kept", async () => {
  const { writer, stdout } = newWriter("json");
  writer.write({ text: UNSAFE, error: new RpcError("internal", UNSAFE), ms: 1 });
  await writer.end();
  assertEquals(/^[ -~]+\n$/.test(stdout.text), true, stdout.text);
  const { n, error } = JSON.parse(stdout.text);
  assertEquals([n, error.message], [UNSAFE, UNSAFE]);
});
