import { assert, assertEquals } from "@std/assert";
import { StderrWriter } from "../../src/cli/io/stderr_writer.ts";

/** A stream that takes what is written, unless it is made to wait or to fail. */
class Stream {
  text = "";
  writes = 0;
  /** What the next writes wait for. */
  held: Promise<void> | undefined;
  /** What the next writes fail with. */
  failure: Error | undefined;
  readonly writer = new StderrWriter((bytes) => this.#write(bytes));

  constructor() {
    this.writer.describeLost = (count) => `${count} lost\n`;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.writes += 1;
    await this.held;
    if (this.failure !== undefined) throw this.failure;
    this.text += new TextDecoder().decode(bytes);
  }
}

/** As long as all that may wait: 4 Ki lines. */
const FULL = `${"x".repeat(255)}\n`.repeat(4_096);

Deno.test("StderrWriter: lines in order; one write for what comes in one turn", async () => {
  const stream = new Stream();
  for (const line of ["a\n", "b\n", "c\n"]) stream.writer.write(line);
  await stream.writer.flush();
  stream.writer.write("d\n");
  await stream.writer.flush();
  assertEquals([stream.text, stream.writes], ["a\nb\nc\nd\n", 2]);
});

Deno.test("StderrWriter: what a reader that stands still doesn't take is bounded, and counted", async () => {
  const stream = new Stream();
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.held = promise;
  const line = FULL.slice(0, 256);
  for (let i = 0; i < 4_096 + 100; i++) stream.writer.write(line);
  resolve();
  await stream.writer.flush();
  // When it reads again, without another line.
  assertEquals(stream.text, `${FULL}100 lost\n`);
  stream.writer.write("next\n");
  await stream.writer.flush();
  assertEquals(stream.text, `${FULL}100 lost\nnext\n`);
});

Deno.test("StderrWriter: lines that were dropped are named where they would be", async () => {
  const stream = new Stream();
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.held = promise;
  stream.writer.write("a\n");
  stream.writer.write(FULL);
  stream.writer.write("b\nc\n");
  stream.held = undefined;
  resolve();
  await stream.writer.flush();
  stream.writer.write("d\n");
  await stream.writer.flush();
  assertEquals(stream.text, "a\n4096 lost\nb\nc\nd\n");
});

Deno.test("StderrWriter: a single line is written however long it is", async () => {
  const stream = new Stream();
  const line = `${"x".repeat(2 * FULL.length)}\n`;
  stream.writer.write(line);
  await stream.writer.flush();
  assertEquals(stream.text.length, line.length);
});

Deno.test("StderrWriter: failures are counted until a write succeeds", async () => {
  const stream = new Stream();
  stream.failure = new Error("no space left");
  for (const lines of ["a\n", "b\nc\n", "d\n"]) {
    stream.writer.write(lines);
    await stream.writer.flush();
  }
  assertEquals(stream.text, "");
  stream.failure = undefined;
  stream.writer.write("e\n");
  await stream.writer.flush();
  assertEquals(stream.text, "4 lost\ne\n");
});

Deno.test("StderrWriter: flush() doesn't wait for a reader that takes nothing, but for a slow one", async () => {
  const still = new Stream();
  still.held = new Promise(() => {});
  still.writer.write("a\n");
  await still.writer.flush();
  assertEquals(still.text, "");

  const slow = new Stream();
  for (const line of FULL.split("\n").slice(0, -1)) slow.writer.write(`${line}\n`);
  const pieces = setInterval(() => {
    slow.held = new Promise((resolve) => setTimeout(resolve, 1));
  });
  await slow.writer.flush();
  clearInterval(pieces);
  assertEquals(slow.text.length, FULL.length);
  assert(slow.writes > 100, `${slow.writes} writes`);
});
