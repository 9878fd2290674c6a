/**
 * A process that isn't one: what the command line is given is all that it touches.
 *
 * @module
 */
import { PassThrough } from "node:stream";
import type { EndSignal, Environment } from "../../src/cli/environment.ts";
import { run } from "../../src/cli/program.ts";

/** See the module. */
export class FakeProcess implements Environment {
  readonly env: Record<string, string> = {};
  readonly identity = "host:1";
  readonly stdin = new PassThrough();
  readonly stderr: PassThrough & Environment["stderr"] = new PassThrough({ encoding: "utf8" });
  isStdoutTerminal = false;
  readonly exits: number[] = [];
  /** Is called with what the runtime prints about itself. */
  warn: (text: string) => void = () => {};
  readonly args: readonly string[];
  #listener: (signal: EndSignal, at: number) => void = () => {};
  #stdout = "";

  constructor(...args: string[]) {
    this.args = args;
  }

  allVariables(): Record<string, string> {
    return this.env;
  }

  writeStdout(bytes: Uint8Array): Promise<void> {
    this.#stdout += new TextDecoder().decode(bytes);
    return Promise.resolve();
  }

  onSignal(listener: (signal: EndSignal, at: number) => void): void {
    this.#listener = listener;
  }

  onWarning(listener: (text: string) => void): void {
    this.warn = listener;
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  /** Sends it a signal, at a time in milliseconds. */
  signal(signal: EndSignal, at = performance.now()): void {
    this.#listener(signal, at);
  }

  /** Runs to the end; gives the exit code and what was written. */
  async run(): Promise<{ code: number; stdout: string; stderr: string }> {
    const code = await run(this);
    return { code, stdout: this.#stdout, stderr: this.stderr.read() ?? "" };
  }
}
