/**
 * The programs that take part: ours, and those with other libraries.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { fibrpcCommand } from "../../tests/support/fibrpc_command.ts";

/** How a program is started. */
export interface Launch {
  /** The program. */
  readonly command: string;
  /** Its first arguments. */
  readonly args: readonly string[];
  /** What comes after all other arguments. */
  readonly lastArgs?: readonly string[] | undefined;
  /** What its environment has besides. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Its working directory. */
  readonly cwd?: string | undefined;
  /** How long it may run, in milliseconds. Default: an hour. */
  readonly limitMs?: number | undefined;
  /** What it writes when it is ready. */
  readonly ready?: RegExp | undefined;
  /** Why it can't be started here. */
  readonly missing?: string | undefined;
}

const READY = /^ready$/m;

/** A file of the project. */
export function file(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** One of the programs beside this module. */
export function program(name: string): string {
  return file(`scripts/bench/programs/${name}`);
}

/** `fibrpc serve`. */
export function fibrpcServe(...more: string[]): Launch {
  const { command, args } = fibrpcCommand();
  return { command, args: [...args, "serve", ...more], ready: /Awaiting RPC requests/ };
}

/** `fibrpc call`. */
export function fibrpcCall(...more: string[]): Launch {
  const { command, args } = fibrpcCommand();
  return { command, args: [...args, "call", ...more] };
}

/** A program in TypeScript, on Deno. */
export function onDeno(name: string, ...more: string[]): Launch {
  const args = ["run", "--quiet", "-A", `--config=${file("deno.json")}`, program(name), ...more];
  return { command: Deno.execPath(), args, ready: READY };
}
