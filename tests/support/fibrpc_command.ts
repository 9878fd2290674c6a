/**
 * The program under test: the same end-to-end tests run on the executable,
 * whatever its base, and on the sources.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import {
  type Outcome,
  type Program,
  run,
  type RunOptions,
  spawn,
  type SpawnOptions,
} from "./process.ts";

/** A program and the arguments that come before all others. */
export interface Command {
  /** The program. */
  command: string;
  /** Its first arguments. */
  args: string[];
}

/** The project's folder. */
export const ROOT = new URL("../../", import.meta.url);
const EXECUTABLE = new URL("dist/fibrpc", ROOT);
const SOURCES = new URL("src/", ROOT);

/**
 * The program under test: `$FIBRPC_TEST_BIN` where it is set; else
 * `dist/fibrpc` unless it is older than any of the sources; else the sources,
 * run by this very Deno.
 */
export function fibrpcCommand(): Command {
  const chosen = Deno.env.get("FIBRPC_TEST_BIN");
  if (chosen) return { command: chosen, args: [] };
  if (isUpToDate()) return { command: fileURLToPath(EXECUTABLE), args: [] };
  return onDeno(new URL("cli/main.ts", SOURCES));
}

/** A module on this very Deno, with the permissions that the executable has built in, and no more. */
export function onDeno(module: URL): Command {
  return {
    command: Deno.execPath(),
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${fileURLToPath(new URL("deno.json", ROOT))}`,
      "--permission-set=fibrpc",
      fileURLToPath(module),
    ],
  };
}

/** Starts the program under test. */
export function spawnFibrpc(
  args: readonly string[],
  options?: SpawnOptions,
): Program {
  const fibrpc = fibrpcCommand();
  return spawn(fibrpc.command, [...fibrpc.args, ...args], options);
}

/** Runs the program under test to its end. */
export function runFibrpc(
  args: readonly string[],
  options?: RunOptions,
): Promise<Outcome> {
  const fibrpc = fibrpcCommand();
  return run(fibrpc.command, [...fibrpc.args, ...args], options);
}

function isUpToDate(): boolean {
  const built = modified(EXECUTABLE);
  return built !== undefined && newest(SOURCES) <= built;
}

/** When a file was last written; `undefined` if there is none. */
export function modified(file: URL): number | undefined {
  try {
    return Deno.statSync(file).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** When the latest of a folder's files was written. */
export function newest(folder: URL): number {
  let time = 0;
  for (const entry of Deno.readDirSync(folder)) {
    const url = new URL(
      encodeURIComponent(entry.name) + (entry.isDirectory ? "/" : ""),
      folder,
    );
    const found = entry.isDirectory ? newest(url) : modified(url) ?? 0;
    time = Math.max(time, found);
  }
  return time;
}
