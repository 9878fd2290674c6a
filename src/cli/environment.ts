/**
 * All that a command knows of its process.
 *
 * @module
 */
import type { Writable } from "node:stream";

/** The signals that end a command. */
export type EndSignal = "SIGINT" | "SIGTERM";

/** What a process gives to a command; tests give something else. */
export interface Environment {
  /** The arguments, without the program's name. */
  readonly args: readonly string[];
  /** The environment variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Its host and its number there, `host:pid`. */
  readonly identity: string;
  /** Where `-` reads from. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Writes results, and nothing else; one write after the other. */
  writeStdout(bytes: Uint8Array): Promise<void>;
  /** Everything else. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Calls `listener` for every signal from now on. */
  onSignal(listener: (signal: EndSignal) => void): void;
  /** Ends the process at once. */
  exit(code: number): void;
}
