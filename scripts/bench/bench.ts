/**
 * What all scenarios share: a broker, a folder, and programs that run and are
 * measured. All of it goes when this is disposed of.
 *
 * @module
 */
import { type Broker, startBroker, uniqueQueue } from "../../tests/support/broker.ts";
import { type Program, spawn } from "../../tests/support/process.ts";
import { RawChannel } from "../../tests/support/raw_channel.ts";
import { waitFor } from "../../tests/support/wait.ts";
import { bundle, bundleProgram } from "../bundle.ts";
import { childrensCpuSeconds, cpuSecondsOf } from "./cpu.ts";
import type { Options } from "./options.ts";
import type { Launch } from "./launch.ts";
import type { Sample } from "./table.ts";

/** Longer than any run takes. */
const RUN_MS = 3_600_000;

/** How long a program may take to end when it is told to. */
const END_MS = 10_000;

/** Arguments: how often, the input, the program and its arguments. Runs it, then tells what that used. */
const TIMED = `
left=$1 input=$2
shift 2
while [ "$left" -gt 0 ]; do
  "$@" <"$input" >/dev/null || exit
  left=$((left - 1))
done
times
`;

/** What is run, by one shell: starting that one counts too. */
export interface Repeated {
  /** What it reads. Default: nothing. */
  input?: string;
  /** How often, one after the other. Default: once. */
  runs?: number;
}

/** What calls to make. */
export interface Calls {
  /** The number to ask for. Default: 30. */
  readonly n?: number;
  /** How many. */
  readonly calls: number;
  /** How many at a time. */
  readonly inFlight: number;
  /** How many come before those that are measured. Default: none. */
  readonly warmUp?: number;
}

/** What a client prints at its end. */
interface ClientResult {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** See the module. */
export class Bench implements AsyncDisposable {
  /** The command line. */
  readonly options: Options;
  /** The broker's URL. */
  readonly url: string;
  /** A folder for files. */
  readonly folder: string;
  readonly #broker: Broker | undefined;
  readonly #running = new Set<Program>();
  readonly #queues = new Set<string>();
  #ending: Promise<void> | undefined;

  private constructor(options: Options, folder: string, broker: Broker | undefined) {
    this.options = options;
    this.folder = folder;
    this.#broker = broker;
    this.url = options.url ?? broker!.url;
  }

  /** Starts a broker, unless there is one to use. */
  static async start(options: Options): Promise<Bench> {
    const broker = options.url === undefined ? await startBroker() : undefined;
    const folder = await Deno.makeTempDir({ prefix: "fibrpc-bench-" });
    return new Bench(options, folder, broker);
  }

  /** Such a part of the calls, as the command line says; at least one. */
  calls(part: number): number {
    return Math.max(1, Math.round(this.options.calls * part));
  }

  /** A queue name that is used for nothing else; the queue will be deleted. */
  newQueue(): string {
    const queue = uniqueQueue("fibrpc-bench");
    this.#queues.add(queue);
    return queue;
  }

  /** Starts a program and waits until it is ready. Dispose of the result. */
  async spawn(launch: Launch, ...more: string[]): Promise<Program> {
    const { command, args, lastArgs = [], env = {}, cwd, ready } = launch;
    if (this.#ending) throw new Error("the end has come");
    // With a group of its own, it can be ended with whatever it has started.
    const program = spawn(command, [...args, ...more, ...lastArgs], {
      env,
      ...(cwd !== undefined && { cwd }),
      stdin: "piped",
      detached: true,
    });
    this.#running.add(program);
    program.status.then(() => this.#running.delete(program));
    if (ready) {
      // Which of the two, depends on the program.
      await Promise.any([program.waitForStdout(ready), program.waitForStderr(ready)])
        .catch(({ errors: [error] }: AggregateError) => Promise.reject(error));
    }
    return program;
  }

  /** Runs a program to its end. Gives what it wrote to stdout. */
  async run(launch: Launch, ...more: string[]): Promise<string> {
    await using program = await this.spawn({ ...launch, ready: undefined }, ...more);
    await program.closeStdin();
    const { code } = await program.waitForExit(launch.limitMs ?? RUN_MS);
    if (code !== 0) {
      throw new Error(`${[launch.command, ...launch.args].join(" ")} failed:\n${program.stderr}`);
    }
    return program.stdout;
  }

  /** Where a program finds the others. */
  at(queue: string): string[] {
    return ["--url", this.url, "--queue", queue];
  }

  /** Starts a server for as long as it takes to `use` its queue. */
  async withServer<T>(
    server: Launch,
    use: (queue: string, server: Program) => Promise<T>,
  ): Promise<T> {
    const queue = this.newQueue();
    const program = await this.spawn(server, ...this.at(queue));
    try {
      return await use(queue, program);
    } finally {
      await end(program);
      await this.deleteQueue(queue);
    }
  }

  /** Declares a queue that nobody serves, for as long as it takes to `use` it. */
  async withQueue<T>(use: (queue: string) => Promise<T>): Promise<T> {
    const queue = this.newQueue();
    {
      await using raw = await RawChannel.open(this.url);
      await raw.declare(queue);
    }
    try {
      return await use(queue);
    } finally {
      await this.deleteQueue(queue);
    }
  }

  /** Waits until so many messages wait in a queue. */
  async waitForMessages(queue: string, count: number): Promise<void> {
    await using raw = await RawChannel.open(this.url);
    await waitFor(async () => (await raw.look(queue)).messages >= count, {
      what: `${count} messages in ${queue}`,
      timeoutMs: RUN_MS,
    });
  }

  /** Makes one file in JavaScript of a module of ours, and gives its path. */
  async bundle(module: string): Promise<string> {
    const output = `${this.folder}/${module.replaceAll("/", "_")}.js`;
    await bundle(module, output);
    return output;
  }

  /** Makes the command line's files in JavaScript, and gives the path of the first. */
  async bundleCommandLine(): Promise<string> {
    const folder = `${this.folder}/fibrpc`;
    await Deno.mkdir(folder);
    const [main] = await bundleProgram(folder);
    return main;
  }

  /** Starts a client, connected and ready to make its calls. Dispose of the result. */
  async spawnClient(client: Launch, calls: Calls, queue = ""): Promise<Program> {
    const { n = 30, calls: count, inFlight, warmUp = 0 } = calls;
    const what = [`--n=${n}`, `--calls=${count}`, `--in-flight=${inFlight}`, `--warm-up=${warmUp}`];
    return await this.spawn(client, ...this.at(queue), ...what);
  }

  /** Lets a client make its calls, and gives what it measured. */
  async go(client: Program): Promise<ClientResult> {
    await client.write("go\n");
    const [text] = await client.waitForStdout(/^\{.*\}$/m, RUN_MS);
    return JSON.parse(text);
  }

  /** Lets a client make calls, and measures it, the server and the broker. */
  async measureCalls(
    client: Launch,
    calls: Calls,
    queue?: string,
    server?: Program,
  ): Promise<Sample> {
    const pids = [server?.pid, await this.#broker?.pid()];
    const cpu = () => Promise.all(pids.map(cpuSecondsOf));
    await using program = await this.spawnClient(client, calls, queue);
    const before = await cpu();
    const { seconds, cpuSeconds, ...times } = await this.go(program);
    const after = await cpu();
    const used = [cpuSeconds, ...before.map((start, at) => minus(after[at], start))];
    const [clientUs, serverUs, brokerUs] = used.map((cpu) => cpu && cpu / calls.calls * 1e6);
    return {
      ...times,
      seconds,
      perSecond: calls.calls / seconds,
      clientUs,
      serverUs,
      brokerUs,
      busy: used.every((cpu) => cpu !== undefined) ? sumOf(used) / seconds : undefined,
    };
  }

  /** Runs a client as a whole process, and measures what one run takes. */
  async measureProcess(
    { command, args, env }: Launch,
    queue: string,
    { input = "/dev/null", runs = 1 }: Repeated = {},
  ): Promise<Sample> {
    const shell = ["-c", TIMED, "sh", String(runs), input, command, ...args];
    const start = performance.now();
    const times = await this.run({ command: "sh", args: shell, env }, ...this.at(queue));
    return {
      wallMs: (performance.now() - start) / runs,
      cpuMs: childrensCpuSeconds(times) * 1000 / runs,
    };
  }

  /** Ends all that runs, and removes what is left. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#ending ??= this.#end();
  }

  /** Ends all that runs, and deletes all queues. */
  async clear(): Promise<void> {
    await Promise.all([...this.#running].map(end));
    for (const queue of this.#queues) await this.deleteQueue(queue);
  }

  async #end(): Promise<void> {
    try {
      await this.clear();
    } finally {
      await this.#broker?.[Symbol.asyncDispose]();
      await Deno.remove(this.folder, { recursive: true });
    }
  }

  /** Deletes a queue, and the one that suspects wait in. */
  async deleteQueue(queue: string): Promise<void> {
    await using raw = await RawChannel.open(this.url);
    for (const name of [queue, `${queue}.suspects`]) await raw.channel.queueDelete(name);
    this.#queues.delete(queue);
  }
}

/** Asks a program to end, with all it has started, and makes it. */
export async function end(program: Program): Promise<void> {
  kill(program, "SIGTERM");
  await program.waitForExit(END_MS).catch(() => kill(program, "SIGKILL"));
  await program[Symbol.asyncDispose]();
}

function kill({ ended, pid }: Program, signal: Deno.Signal): void {
  if (ended) return;
  try {
    Deno.kill(-pid, signal);
  } catch (error) {
    // The group is gone, and its end not yet known.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function minus(end: number | undefined, start: number | undefined): number | undefined {
  return end === undefined || start === undefined ? undefined : end - start;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
