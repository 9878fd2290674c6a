/**
 * A server with `--http`, and what it answers.
 *
 * @module
 */
import type { CommandLine } from "../cli/command_line.ts";
import type { Program } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";

export interface Monitored {
  readonly program: Program;
  /** Where it answers. */
  readonly url: string;
}

/** Starts `fibrpc serve` with more options, and waits until it answers over HTTP. */
export async function monitored(
  fibrpc: CommandLine,
  queue: string,
  ...args: string[]
): Promise<Monitored & AsyncDisposable> {
  const program = fibrpc.spawn(["serve", "--queue", queue, "--http", "0", ...args]);
  const [, url] = await program.waitForStderr(/page are at (http:[^"\s]+)/);
  return { program, url: url!, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** What a path answers: its status and its text. */
export async function get(url: string): Promise<[status: number, text: string]> {
  const response = await fetch(url);
  return [response.status, (await response.text()).trimEnd()];
}

/** Waits until `/readyz` answers so; `/livez` is good all the while. */
export async function waitUntil(server: Monitored, readiness: string): Promise<void> {
  await waitFor(async () => {
    const [[live], [status, word]] = await Promise.all([
      get(`${server.url}/livez`),
      get(`${server.url}/readyz`),
    ]);
    if (live !== 200) throw new Error(`/livez: ${live}`);
    if ((status === 200) !== (word === "ok")) throw new Error(`/readyz: ${status} ${word}`);
    return word === readiness;
  }, { what: `/readyz to say ${readiness}` });
}
