/**
 * Runs what scripts need from other programs.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** How a program ended, and what it said on standard error. */
export interface Result {
  readonly success: boolean;
  readonly output: string;
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  /** Default: the project's folder. */
  readonly cwd?: string;
  /** Ends the program. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs a command to its end, or to the signal's: it is never left behind. */
export async function run(
  command: string,
  args: readonly string[],
  { cwd = fileURLToPath(new URL("../", import.meta.url)), signal }: RunOptions = {},
): Promise<Result> {
  const { success, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    ...(signal && { signal }),
  }).output();
  return { success, output: new TextDecoder().decode(stderr).trim() };
}
