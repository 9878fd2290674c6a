/**
 * Standard output, written to by the runtime's own way: on Bun and Deno it
 * takes 2 ms of a one-shot call's 17 to open the stream of `process.stdout`.
 *
 * @module
 */
import process from "node:process";

/** What is used of Bun, as its documentation has it. */
interface BunFiles {
  readonly stdout: { writer(): BunSink };
}

/** One of its files, opened for writing. */
interface BunSink {
  write(bytes: Uint8Array): number | Promise<number>;
  flush(): number | Promise<number>;
}

let sink: BunSink | undefined;

/**
 * Writes all of `bytes`, while the event loop turns. One write must end before
 * the next.
 *
 * @returns Rejects with the system's error, such as one with the code `EPIPE`;
 * on Deno also with `EAGAIN`, if somebody made stdout a pipe that doesn't wait,
 * and it is full: it can't tell how much of a write the pipe took.
 */
export async function writeStdout(bytes: Uint8Array): Promise<void> {
  const { Bun, Deno } = globalThis as { Bun?: BunFiles; Deno?: typeof globalThis.Deno };
  if (Bun !== undefined) {
    // Not `Bun.write`, which (1.4) blocks the process while the pipe is full,
    // or begins anew if the pipe doesn't wait.
    sink ??= Bun.stdout.writer();
    await sink.write(bytes);
    await sink.flush();
  } else if (Deno !== undefined) {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stdout.write(rest));
  } else {
    await writeStream(process.stdout, bytes);
  }
}

function writeStream(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("error", reject);
    stream.write(bytes, (error) => {
      if (error) return reject(error);
      stream.off("error", reject);
      resolve();
    });
  });
}
