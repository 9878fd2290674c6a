/**
 * Standard output and standard error, written to by the runtime's own ways: on
 * Bun and Deno it takes 2 ms of a one-shot call's 17 to open the streams of
 * `process`, and on Deno and Node those block the process while a pipe is full.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";

const FD = { stdin: 0, stdout: 1, stderr: 2 } as const;

type StreamName = keyof typeof FD;
type OutputName = Exclude<StreamName, "stdin">;

/** The part of Bun's API that is used here. */
interface Bun {
  readonly stdout: { writer(): BunSink };
  readonly stderr: { writer(): BunSink };
  file(path: string): { text(): Promise<string> };
}

/** One of its files, opened for writing. */
interface BunSink {
  write(bytes: Uint8Array): number | Promise<number>;
  flush(): number | Promise<number>;
}

/**
 * Writes all of `bytes`, which end with a newline, while the event loop turns.
 * One write to a stream must end before the next.
 *
 * @returns Rejects with the system's error, such as one with the code `EPIPE`.
 */
export async function writeTo(name: OutputName, bytes: Uint8Array): Promise<void> {
  const { Bun, Deno } = globalThis as { Bun?: Bun; Deno?: typeof globalThis.Deno };
  if (Bun !== undefined) return await writeOnBun(Bun, name, bytes);
  const write = Deno === undefined
    ? (piece: Uint8Array) => writeOnNode(name, piece)
    : (piece: Uint8Array) => Deno[name].write(piece);
  for (let rest = bytes; rest.length > 0;) {
    try {
      rest = rest.subarray(await write(firstPiece(rest)));
    } catch (error) {
      if (!isFullPipe(name, error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
    }
  }
}

/** As many bytes are written to a pipe as a whole or not at all (Linux's PIPE_BUF). */
const PIECE_BYTES = 4096;

/** How long to wait before the next attempt to write to a full pipe that doesn't block, in milliseconds. */
const FULL_PIPE_MS = 10;

/**
 * What is to be written at once: lines, or all that a pipe takes at once of a
 * longer line. Deno holds back what follows the last newline of a write, so
 * that it could not be known how much of it was written.
 */
function firstPiece(bytes: Uint8Array): Uint8Array {
  const piece = bytes.subarray(0, PIECE_BYTES);
  const end = piece.lastIndexOf(NEWLINE) + 1;
  return end === 0 ? piece : piece.subarray(0, end);
}

const NEWLINE = 10;

/** Whether nothing was written because somebody made the pipe one that doesn't block. */
function isFullPipe(name: OutputName, error: unknown): boolean {
  return (error as { code?: unknown }).code === "EAGAIN" &&
    getBuiltinModule("node:fs").fstatSync(FD[name]).isFIFO();
}

function writeOnNode(name: OutputName, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    getBuiltinModule("node:fs").write(
      FD[name],
      bytes,
      (error, written) => error ? reject(error) : resolve(written),
    );
  });
}

const sinks: Partial<Record<OutputName, BunSink>> = {};

async function writeOnBun(bun: Bun, name: OutputName, bytes: Uint8Array): Promise<void> {
  let sink = sinks[name];
  if (sink === undefined) {
    if (name === "stdout" && await isClosed(name)) throw new Error("it is closed");
    // Not `Bun.write`, which (1.4) blocks the process while the pipe is full,
    // or begins anew if the pipe doesn't wait.
    sink = sinks[name] = bun[name].writer();
  }
  await sink.write(bytes);
  await sink.flush();
}

/** Linux's flag of a file that programs which this one starts don't get. */
const O_CLOEXEC = 0o2000000;

/**
 * Whether the process was started without the stream. Every runtime opens
 * /dev/null in its place; Bun gives it a flag that no inherited file can have.
 */
export async function isClosed(name: StreamName): Promise<boolean> {
  const flags = /^flags:\s*(\d+)$/m.exec(await processInfo(`fdinfo/${FD[name]}`))?.[1] ?? "0";
  return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
}

/** What Linux tells a process about itself, on Bun; empty elsewhere. */
export async function processInfo(file: string): Promise<string> {
  const { Bun } = globalThis as { Bun?: Bun };
  return await Bun?.file(`/proc/self/${file}`).text().catch(() => "") ?? "";
}
