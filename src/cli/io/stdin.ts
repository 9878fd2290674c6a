/**
 * Standard input, read by the runtime's own way.
 *
 * @module
 */
import process from "node:process";
import { isClosed } from "./stdout.ts";

/** How much is read at once, in bytes. */
const CHUNK_BYTES = 65_536;

/** How long to wait before the next attempt to read where there is nothing yet, in milliseconds. */
const EMPTY_PIPE_MS = 10;

/** The bytes of standard input as they come; rejects with the system's error. */
export function readStdin(): AsyncIterable<Uint8Array> {
  const { Deno } = globalThis as { Deno?: typeof globalThis.Deno };
  // The stream of `process` is empty on Deno where it can't be read, such as a folder.
  return Deno === undefined ? readStream() : readOnDeno(Deno.stdin);
}

async function* readStream(): AsyncGenerator<Uint8Array> {
  if (await isClosed("stdin")) throw new Error("it is closed");
  yield* process.stdin;
}

async function* readOnDeno(stdin: typeof Deno.stdin): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    try {
      const length = await stdin.read(buffer);
      if (length === null) return;
      yield buffer.subarray(0, length);
    } catch (error) {
      // Somebody made it a pipe that doesn't block.
      if ((error as { code?: unknown }).code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, EMPTY_PIPE_MS));
    }
  }
}
