/**
 * `fibrpc bench`.
 *
 * @module
 */
import { access, constants, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import process from "node:process";
import type { MessageHeader } from "../../amqp/message.ts";
import { connectFailure } from "../../amqp/failure.ts";
import { RpcError } from "../../errors.ts";
import type { Condition } from "../../ops/bench/condition.ts";
import { type Extent, type Pace, runLoad } from "../../ops/bench/load.ts";
import { Recorder, type Second } from "../../ops/bench/recorder.ts";
import {
  benchCsv,
  benchJson,
  type BenchResult,
  type BenchSettings,
  benchText,
  CSV_HEAD,
  failures,
  reachedRate,
  STEP_HEAD,
  stepText,
  type Target,
} from "../../ops/bench/result.ts";
import { Probe } from "../../ops/probe.ts";
import { RpcClient } from "../../rpc/client/client.ts";
import type { RpcClientOptions } from "../../rpc/client/options.ts";
import { bytes, type Decoder } from "../../rpc/codec.ts";
import { resolveConnectOptions } from "../../rpc/connect_options.ts";
import { RpcServer } from "../../rpc/server/server.ts";
import { messageOf, printable, quote } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, exitCodeOf } from "../exit_codes.ts";
import { print } from "../io/print.ts";
import { given } from "../options/connect_options.ts";
import { report } from "../report.ts";
import { onEndSignal } from "../signals.ts";
import { version } from "../version.ts";

export const BENCH_FORMATS = ["text", "json", "csv"] as const;

/** The queue of an own server goes by itself when nobody has used it so long, in milliseconds. */
const OWN_QUEUE_EXPIRES_MS = 60_000;

const SECOND_MS = 1_000;

export interface BenchOptions extends RpcClientOptions {
  readonly queue: string;
  /** What is called with, one after the other, over and over. */
  readonly bodies: readonly Uint8Array[];
  /** Throws for what is no response; own bodies may hold anything. */
  readonly decode: Decoder<unknown>["decode"];
  /** What is called with, in words. */
  readonly input: string;
  readonly contentType: string;
  readonly headers: Record<string, MessageHeader>;
  /** One run after the other, as long as they pass. */
  readonly paces: readonly Pace[];
  readonly extent: Extent;
  readonly warmUpMs: number;
  readonly connections: number;
  readonly ownServer: boolean;
  readonly failIf: readonly Condition[];
  readonly output: typeof BENCH_FORMATS[number];
  /** The file for a report with curves. */
  readonly html?: string;
  readonly quiet: boolean;
  readonly timeoutMs: number;
}

/**
 * Calls at a pace, and prints what that took.
 *
 * @returns The exit code: 1 if a condition failed.
 */
export async function bench(environment: Environment, options: BenchOptions): Promise<number> {
  const { quiet, paces } = options;
  const ending = new AbortController();
  let signalled: number | undefined;
  onEndSignal(environment, (signal) => {
    signalled = EXIT_BY_SIGNAL[signal];
    ending.abort(new Error(signal));
  });
  if (options.html !== undefined) await checkWritable(options.html);
  let failed = false;
  const results: BenchResult[] = [];
  try {
    await using field = await Field.open(environment, options, ending.signal);
    const isTable = paces.length > 1;
    for (const [index, pace] of paces.entries()) {
      const result = await field.run(pace);
      if (result === undefined) break;
      results.push(result);
      failed = result.failed.length > 0 || isTable && !reachedRate(result);
      const end = await print(environment, format(result, options, index === 0, isTable));
      if (end !== undefined) return end;
      if (failed || ending.signal.aborted) break;
    }
    if (options.html !== undefined && results.length > 0) {
      const code = await writeReport(environment, options.html, results);
      if (code !== EXIT_OK) return code;
    }
  } catch (thrown) {
    if (signalled !== undefined) return signalled;
    const [broker] = resolveConnectOptions(options, "bench").brokers;
    const { error } = connectFailure(broker!, thrown);
    if (!quiet) report(environment, `${error.code}: ${error.message}`);
    return exitCodeOf(error);
  }
  return signalled ?? (failed ? EXIT_FAILURE : EXIT_OK);
}

/** Finds out before the calls, and not after them. */
async function checkWritable(file: string): Promise<void> {
  try {
    await access(dirname(resolve(file)), constants.W_OK);
  } catch (error) {
    const message = `can't write --html ${quote(file)}: ${messageOf(error)}`;
    throw new RpcError("invalid_argument", message);
  }
}

async function writeReport(
  environment: Environment,
  file: string,
  results: readonly BenchResult[],
): Promise<number> {
  const { htmlReport } = await import("../../ops/bench/html/report.ts");
  const about = `fibrpc ${version()}, ${new Date().toISOString()}`;
  try {
    await writeFile(file, htmlReport(results, about));
    return EXIT_OK;
  } catch (error) {
    report(environment, `can't write --html ${quote(file)}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  }
}

function format(
  result: BenchResult,
  { output }: BenchOptions,
  isFirst: boolean,
  isTable: boolean,
): string {
  if (output === "json") return benchJson(result);
  if (output === "csv") return `${isFirst ? CSV_HEAD : ""}${benchCsv(result)}`;
  const text = isTable ? `${isFirst ? STEP_HEAD : ""}${stepText(result)}` : benchText(result);
  return text.split("\n").map(printable).join("\n");
}

/** Connections, and the server if it is an own one. */
class Field implements AsyncDisposable {
  readonly #environment: Environment;
  readonly #options: BenchOptions;
  readonly #signal: AbortSignal;
  readonly #probe: Probe;
  readonly #ending = new AsyncDisposableStack();
  readonly #clients: RpcClient[] = [];
  readonly #queue: string;

  private constructor(
    environment: Environment,
    options: BenchOptions,
    signal: AbortSignal,
    probe: Probe,
  ) {
    this.#environment = environment;
    this.#options = options;
    this.#signal = signal;
    this.#probe = this.#ending.use(probe);
    this.#queue = options.ownServer
      ? `fibrpc-bench-${crypto.randomUUID().slice(0, 8)}`
      : options.queue;
  }

  /**
   * Connects.
   *
   * @throws {RpcError} `no_server` if nobody consumes the queue.
   */
  static async open(
    environment: Environment,
    options: BenchOptions,
    signal: AbortSignal,
  ): Promise<Field> {
    const { brokers, ...connect } = resolveConnectOptions(options, "bench");
    const { connectTimeoutMs = 5_000 } = options;
    const probe = await Probe.open(brokers, connect, connectTimeoutMs, signal);
    const field = new Field(environment, options, signal, probe);
    try {
      if (options.ownServer) await field.#serve();
      const requests = await field.#probe.inspect(field.#queue);
      if (requests.found === false || requests.found === true && requests.consumers === 0) {
        throw new RpcError("no_server", `nobody consumes ${field.#queue} (start a server)`);
      }
      await field.#connect();
    } catch (error) {
      await field[Symbol.asyncDispose]();
      throw error;
    }
    return field;
  }

  async #serve(): Promise<void> {
    const channel = await this.#probe.connection.openChannel();
    await channel.declareQueue(this.#queue, { durable: true, autoDelete: false }, {
      "x-expires": OWN_QUEUE_EXPIRES_MS,
    });
    this.#ending.defer(() => channel.deleteQueue(this.#queue).catch(() => {}));
    const { url, credentials, tls, heartbeatSeconds } = this.#options;
    const server = new RpcServer({
      ...given({ url, credentials, tls, heartbeatSeconds }),
    });
    server.serve(
      { queue: this.#queue, input: bytes, output: bytes },
      (body) => body,
      { quarantine: false },
    );
    this.#ending.use(server);
    await server.start();
  }

  async #connect(): Promise<void> {
    const { connections } = this.#options;
    for (let i = 0; i < connections; i++) {
      const client = new RpcClient(this.#options);
      this.#clients.push(this.#ending.use(client));
      await client.connect();
    }
  }

  /** Makes the calls of one pace; `undefined` if that was ended before anything was measured. */
  async run(pace: Pace): Promise<BenchResult | undefined> {
    const {
      bodies,
      decode,
      contentType,
      headers,
      extent,
      warmUpMs,
      connections,
      timeoutMs,
      input,
    } = this.#options;
    const service = {
      queue: this.#queue,
      idempotent: false,
      input: { contentType, encode: (body: Uint8Array) => body },
      output: { decode },
    };
    const callOptions = { timeoutMs, headers };
    const clients = this.#clients;
    const recorder = new Recorder();
    const seconds: Second[] = [];
    const target = await this.#target(); // Afterwards the broker may be gone.
    const watch = new Watch(async (second) => {
      seconds.push(recorder.second(second, await this.#waiting()));
      if (!this.#options.quiet) this.#say(seconds.at(-1)!, pace);
    });
    const timer = setTimeout(() => watch.start(), warmUpMs);
    try {
      await runLoad({
        pace,
        extent,
        warmUpMs,
        recorder,
        signal: this.#signal,
        call: (index) =>
          clients[index % clients.length]!.call(
            service,
            bodies[index % bodies.length]!,
            callOptions,
          ),
      });
    } finally {
      clearTimeout(timer);
      await watch.stop();
    }
    const recorded = recorder.result();
    if (this.#signal.aborted && recorded.sent === 0) return undefined;
    const settings: BenchSettings = {
      ...{ pace, extent, warmUpMs, connections, timeoutMs, input },
    };
    return {
      target,
      settings,
      recorded,
      seconds,
      curve: recorder.curve(),
      client: watch.client,
      failed: failures(this.#options.failIf, recorded),
      interrupted: this.#signal.aborted,
    };
  }

  #say({ second, sent, answered, errors, p99, waiting }: Second, pace: Pace): void {
    const rate = pace.model === "open" ? ` of ${pace.rate} asked` : "";
    const time = p99 === null ? "" : `, p99 ${p99.toPrecision(3)} ms`;
    const queue = waiting === null ? "" : `, ${waiting} waiting`;
    const line = `${second} s: ${sent} sent${rate}, ${answered} answered, ${errors} errors`;
    this.#environment.stderr.write(`${line}${time}${queue}\n`);
  }

  /** How many requests wait; `null` if that can't be seen. */
  async #waiting(): Promise<number | null> {
    try {
      const found = await this.#probe.inspect(this.#queue);
      return found.found === true ? found.messages : null;
    } catch {
      return null; // The calls tell of it.
    }
  }

  async #target(): Promise<Target> {
    const requests = await this.#probe.inspect(this.#queue);
    const { broker, product, roundTripMs } = await this.#probe.broker();
    return {
      broker,
      product,
      queue: this.#queue,
      consumers: requests.found === true ? requests.consumers : null,
      isOwn: this.#options.ownServer,
      roundTripMs,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ending.disposeAsync();
  }
}

/** Looks each second, and at what this process uses meanwhile. */
class Watch {
  readonly #look: (second: number) => Promise<void>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> = Promise.resolve();
  #second = 0;
  #start = 0;
  #cpu = process.cpuUsage();
  client = { cpu: 0, rssMb: 0 };

  constructor(look: (second: number) => Promise<void>) {
    this.#look = look;
  }

  start(): void {
    this.#start = performance.now();
    this.#cpu = process.cpuUsage();
    this.#timer = setInterval(() => {
      const second = ++this.#second;
      this.#looking = this.#looking.then(() => this.#look(second));
    }, SECOND_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    const { user, system } = process.cpuUsage(this.#cpu);
    const us = (performance.now() - this.#start) * 1_000;
    this.client = {
      cpu: this.#start === 0 ? 0 : (user + system) / us,
      rssMb: process.memoryUsage().rss / 2 ** 20,
    };
  }
}
