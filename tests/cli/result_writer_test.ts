import { assert, assertEquals } from "@std/assert";
import { PassThrough } from "node:stream";
import type { Environment } from "../../src/cli/environment.ts";
import { type OutputFormat, ResultWriter } from "../../src/cli/result_writer.ts";
import { RpcError } from "../../src/errors.ts";

/** A writer, and the pieces that were written by it. */
function newWriter(
  format: OutputFormat,
  { quiet = false, highWaterMark = 16_384, writeStdout }: {
    quiet?: boolean;
    highWaterMark?: number;
    writeStdout?: Environment["writeStdout"];
  } = {},
) {
  const stdout = new PassThrough({ highWaterMark, encoding: "utf8" });
  const stderr = new PassThrough({ encoding: "utf8" });
  const environment: Environment = {
    args: [],
    env: {},
    stdin: new PassThrough(),
    stdout,
    ...(writeStdout && { writeStdout }),
    stderr,
    onSignal() {},
    exit() {},
  };
  return { writer: new ResultWriter(environment, format, quiet), stdout, stderr };
}

const error = new RpcError("out_of_range", 'n = "31" is over 30');

Deno.test("ResultWriter: text: values to stdout, failures to stderr, one of many told once", async () => {
  const { writer, stdout, stderr } = newWriter("text");
  writer.write({ text: "7", value: "13", ms: 1 });
  writer.write({ text: "31", error, ms: 1 });
  writer.write({ text: "32", error, ms: 1 });
  writer.write({ text: "31", error: new RpcError("out_of_range", "another"), ms: 1 });
  writer.write({ text: "8", value: "21", ms: 1 });
  await writer.flush();
  assertEquals(stdout.read(), "13\n21\n");
  assertEquals(
    stderr.read(),
    `fibrpc: out_of_range: ${error.message}\nfibrpc: out_of_range: another\n`,
  );
});

Deno.test("ResultWriter: JSON: an object per line, failures too, n with all its digits", async () => {
  const { writer, stdout, stderr } = newWriter("json");
  const large = "123456789012345678901234567890";
  writer.write({ text: " 007\r", value: large, ms: 1.23456 });
  writer.write({ text: "000", value: "0", ms: 2 });
  writer.write({ text: large, error, ms: 0.0001 });
  writer.write({ text: 'x"\n', error, ms: 1e-9 });
  await writer.flush();
  const failure = `"error":{"code":"out_of_range","message":"n = \\"31\\" is over 30"}`;
  assertEquals(
    stdout.read(),
    [
      `{"n":7,"value":"${large}","ms":1.235}`,
      `{"n":0,"value":"0","ms":2}`,
      `{"n":${large},${failure},"ms":0}`,
      `{"n":"x\\"\\n",${failure},"ms":0}`,
      "",
    ].join("\n"),
  );
  assertEquals(stderr.read(), null);
});

Deno.test("ResultWriter: quiet: failures are not told, but in JSON", async () => {
  const text = newWriter("text", { quiet: true });
  text.writer.write({ text: "31", error, ms: 1 });
  await text.writer.flush();
  assertEquals([text.stdout.read(), text.stderr.read()], [null, null]);
  const json = newWriter("json", { quiet: true });
  json.writer.write({ text: "31", error, ms: 1 });
  await json.writer.flush();
  assertEquals(JSON.parse(String(json.stdout.read())).error.code, "out_of_range");
});

Deno.test("ResultWriter: one write for what comes in one turn", async () => {
  const { writer, stdout } = newWriter("text");
  const pieces: string[] = [];
  stdout.on("data", (piece) => pieces.push(piece));
  for (const value of ["1", "2", "3"]) writer.write({ text: value, value, ms: 1 });
  await writer.flush();
  writer.write({ text: "4", value: "4", ms: 1 });
  await writer.flush();
  assertEquals(pieces, ["1\n2\n3\n", "4\n"]);
});

Deno.test("ResultWriter: is ready again when its reader has caught up", async () => {
  const { writer, stdout } = newWriter("text", { highWaterMark: 4 });
  assertEquals(writer.ready(), undefined);
  writer.write({ text: "30", value: "832040".repeat(10), ms: 1 });
  await Promise.resolve();
  const ready = writer.ready();
  assert(ready !== undefined);
  stdout.resume();
  await ready;
  assertEquals(writer.ready(), undefined);
});

for (const [code, failure] of [["EPIPE", undefined], ["ENOSPC", "no room"]] as const) {
  Deno.test(`ResultWriter: ${code} ends every wait, and is ${failure ? "a" : "no"} failure`, async () => {
    const { writer, stdout } = newWriter("text", { highWaterMark: 4 });
    writer.write({ text: "30", value: "832040", ms: 1 });
    await Promise.resolve();
    const ready = writer.ready();
    assertEquals(writer.failure, undefined);
    stdout.destroy(Object.assign(new Error("no room"), { code }));
    await Promise.all([ready, writer.closed, writer.flush()]);
    writer.write({ text: "30", value: "832040", ms: 1 });
    await writer.flush();
    assertEquals(writer.failure, failure);
  });
}

Deno.test("ResultWriter: a write that throws is a failure", async () => {
  const { writer, stdout } = newWriter("text");
  stdout.write = () => {
    throw new Error("no room");
  };
  writer.write({ text: "30", value: "832040", ms: 1 });
  await Promise.all([writer.closed, writer.flush()]);
  assertEquals(writer.failure, "no room");
});

for (const capacity of [0, 3, 4_096, Infinity]) {
  Deno.test(`ResultWriter: all comes out in order where ${capacity} bytes need no stream`, async () => {
    let out = "";
    let room = capacity;
    const { writer, stdout } = newWriter("text", {
      writeStdout(bytes) {
        if (room === 0) throw Object.assign(new Error("full"), { code: "EAGAIN" });
        const taken = new TextDecoder().decode(bytes.subarray(0, room));
        room -= taken.length;
        out += taken;
        return taken.length;
      },
    });
    let streamed = 0;
    stdout.on("data", (piece: string) => {
      streamed += piece.length;
      out += piece;
    });
    const values = ["1", "22", "3".repeat(4_000), "4".repeat(100), "5"];
    for (const value of values) {
      writer.write({ text: "30", value, ms: 1 });
      await writer.flush();
    }
    assertEquals(out, values.map((value) => `${value}\n`).join(""));
    // A process that wrote more could be stopped by a slow reader.
    assertEquals(out.length - streamed, Math.min(capacity, "1\n22\n\n".length + 4_000));
  });
}
