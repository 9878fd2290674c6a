/**
 * The real program with a broker that is its own business: no variable of this process's
 * environment tells it another.
 *
 * @module
 */
import { runFibrpc, spawnFibrpc } from "../support/fibrpc_command.ts";
import type { Outcome, Program, RunOptions, SpawnOptions } from "../support/process.ts";

/** What a server says once it takes requests. */
export const READY = /Awaiting RPC requests/;

/** Every variable that fibrpc reads; an empty one is unset. */
const UNSET = {
  FIBRPC_URL: "",
  AMQP_URL: "",
  FIBRPC_QUEUE: "",
  FIBRPC_TIMEOUT: "",
  FIBRPC_PASSWORD_FILE: "",
};

/** The program, with `$FIBRPC_URL` (it may hold a password, hence no `--url`). */
export class CommandLine {
  readonly #url: string;

  /** @param url The broker; none if empty. */
  constructor(url: string) {
    this.#url = url;
  }

  /** Runs it to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runFibrpc(args, { ...options, env: this.#env(options) });
  }

  /** Starts it. */
  spawn(args: readonly string[], options: SpawnOptions = {}): Program {
    return spawnFibrpc(args, { ...options, env: this.#env(options) });
  }

  /** Starts a server, and waits until it takes requests. */
  async serve(queue: string, ...args: string[]): Promise<Program> {
    const server = this.spawn(["serve", "--queue", queue, ...args]);
    await server.waitForStderr(READY);
    return server;
  }

  #env({ env }: { env?: Record<string, string> }): Record<string, string> {
    return { ...UNSET, FIBRPC_URL: this.#url, ...env };
  }
}

/** Values of `--output json`, an object per line. */
export function parseResults(stdout: string): CallResult[] {
  return stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/** One line of `--output json`. */
export interface CallResult {
  /** The version of the format. */
  v: 1;
  /** The number as asked, or the text that is none. */
  n: number | string;
  /** The result. */
  value?: string;
  /** Or why there is none. */
  error?: { code: string; message: string };
  /** How long it took, in milliseconds. */
  ms: number;
  /** The correlation id, if a request was sent. */
  requestId?: string;
}

/** A broker's URL with another password. */
export function withPassword(url: string, password: string): string {
  const changed = new URL(url);
  changed.password = encodeURIComponent(password);
  return changed.href;
}
