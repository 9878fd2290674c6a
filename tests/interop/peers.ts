/**
 * The Python programs of this folder, and ours, as a test runs them.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { uniqueQueue } from "../support/broker.ts";
import { type Command, fibrpcCommand } from "../support/fibrpc_command.ts";
import { type Outcome, type Program, run, spawn } from "../support/process.ts";
import { RawChannel } from "../support/raw_channel.ts";

/**
 * A request queue of its own at a broker, and the programs that meet there.
 * Disposing of it ends the servers and deletes the queue.
 */
export class Meeting implements AsyncDisposable {
  readonly #url: string;
  readonly #queue = uniqueQueue("fibrpc-interop");
  readonly #servers: Program[] = [];

  /** At the broker with this URL. The servers declare the queue. */
  constructor(url: string) {
    this.#url = url;
  }

  /** Starts one of the Python servers and waits until it serves. */
  async startPython(script: string, ...args: string[]): Promise<Program> {
    const server = this.#start(await python(), [path(script), ...args]);
    await server.waitForStdout(/ready on /);
    return server;
  }

  /** Starts `fibrpc serve` and waits until it serves. */
  async startServe(...args: string[]): Promise<Program> {
    const server = this.#start(fibrpcCommand(), ["serve", ...args]);
    await server.waitForStderr(/Awaiting RPC requests/);
    return server;
  }

  /** Runs one of the Python clients to its end. */
  async runPython(script: string, ...args: string[]): Promise<Outcome> {
    return await this.#run(await python(), [path(script), ...args]);
  }

  /** Runs `fibrpc call` to its end. */
  async runCall(...args: string[]): Promise<Outcome> {
    return await this.#run(fibrpcCommand(), ["call", "--timeout=20s", ...args]);
  }

  /** Ends the servers and deletes the queue. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
    await using raw = await RawChannel.open(this.#url);
    await raw.channel.queueDelete(this.#queue);
  }

  #start({ command, args: first }: Command, args: string[]): Program {
    const server = spawn(command, [...first, ...args, ...this.#place]);
    this.#servers.push(server);
    return server;
  }

  async #run({ command, args: first }: Command, args: string[]): Promise<Outcome> {
    try {
      return await run(command, [...first, ...args, ...this.#place]);
    } catch (error) {
      const logs = this.#servers.map(({ pid, stdout, stderr }) =>
        `server ${pid} wrote:\n${stdout}${stderr}`
      );
      throw new Error([String(error), ...logs].join("\n"), { cause: error });
    }
  }

  get #place(): string[] {
    return [`--url=${this.#url}`, `--queue=${this.#queue}`];
  }
}

function path(script: string): string {
  return fileURLToPath(new URL(script, import.meta.url));
}

let found: Promise<Command> | undefined;

/**
 * A Python that has pika and aio-pika. The system's own comes first: it is
 * the one that Debian's packages are for.
 */
function python(): Promise<Command> {
  return found ??= findPython();
}

async function findPython(): Promise<Command> {
  const tried: string[] = [];
  for (const command of ["/usr/bin/python3", "python3"]) {
    try {
      const { code, stderr } = await run(command, ["-c", "import pika, aio_pika"]);
      if (code === 0) return { command, args: [] };
      tried.push(`${command}: ${stderr.trim().split("\n").at(-1)}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      tried.push(`${command}: not found`);
    }
  }
  throw new Error(
    "these tests need Python with pika and aio-pika (Debian: apt-get install " +
      "python3 python3-pika python3-aio-pika; elsewhere: pip install pika " +
      "aio-pika), or FIBRPC_TEST_NO_PYTHON=1 to go without them\n" +
      tried.join("\n"),
  );
}
