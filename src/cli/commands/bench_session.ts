/**
 * The connections of a benchmark, its own server if it has one, and one load
 * after the other over them.
 *
 * @module
 */
import process from "node:process";
import type { MessageHeader } from "../../amqp/message.ts";
import { RpcError } from "../../errors.ts";
import type { Condition } from "../../ops/bench/condition.ts";
import { type Extent, type Pace, runLoad } from "../../ops/bench/load.ts";
import { Recorder, type Second } from "../../ops/bench/recorder.ts";
import { type BenchResult, failures, type Target } from "../../ops/bench/result.ts";
import { Probe } from "../../ops/probe.ts";
import { RpcClient } from "../../rpc/client/client.ts";
import type { RpcClientOptions } from "../../rpc/client/options.ts";
import { bytes, type Decoder } from "../../rpc/codec.ts";
import { resolveConnectOptions } from "../../rpc/connect_options.ts";
import { diagnose } from "../../rpc/queue_diagnosis.ts";
import { RpcServer } from "../../rpc/server/server.ts";
import { count } from "../../text.ts";
import { within } from "../../time.ts";
import type { Environment } from "../environment.ts";
import { given } from "../options/connect_options.ts";

/** How long connecting may take by default, in milliseconds. */
const CONNECT_MS = 5_000;

/** The queue of an own server goes by itself when nobody has used it so long, in milliseconds. */
const OWN_QUEUE_EXPIRES_MS = 60_000;

const SECOND_MS = 1_000;

/** What is called, and how. */
export interface SessionOptions extends RpcClientOptions {
  readonly queue: string;
  /** What is called with, one after the other, over and over. */
  readonly bodies: readonly Uint8Array[];
  /** Throws for what is no response; own bodies may hold anything. */
  readonly decode: Decoder<unknown>["decode"];
  /** What is called with, in words. */
  readonly input: string;
  readonly contentType: string;
  readonly headers: Record<string, MessageHeader>;
  readonly extent: Extent;
  readonly warmUpMs: number;
  readonly connections: number;
  readonly ownServer: boolean;
  readonly failIf: readonly Condition[];
  readonly quiet: boolean;
  readonly timeoutMs: number;
}

/** Connections, and the server if it is an own one. */
export class BenchSession implements AsyncDisposable {
  readonly #environment: Environment;
  readonly #options: SessionOptions;
  readonly #signal: AbortSignal;
  readonly #probe: Probe;
  readonly #ending = new AsyncDisposableStack();
  readonly #clients: RpcClient[] = [];
  readonly #queue: string;

  private constructor(
    environment: Environment,
    options: SessionOptions,
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
    options: SessionOptions,
    signal: AbortSignal,
  ): Promise<BenchSession> {
    const { brokers, ...connect } = resolveConnectOptions(options, "bench");
    const { connectTimeoutMs = CONNECT_MS } = options;
    const probe = await Probe.open(brokers, connect, connectTimeoutMs, signal);
    const session = new BenchSession(environment, options, signal, probe);
    try {
      if (options.ownServer) await session.#serve();
      const requests = await session.#probe.inspect(session.#queue);
      if (requests.found === false || requests.found === true && requests.consumers === 0) {
        const why = requests.found ? diagnose(requests) : "the queue does not exist";
        const hint = `start a server with "fibrpc serve --queue ${session.#queue}"`;
        const text = `nobody serves ${session.#queue} on ${probe.url}: ${why} (${hint})`;
        throw new RpcError("no_server", text);
      }
      await session.#connect();
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
    return session;
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
    await this.#inTime(server.start());
  }

  /** Ctrl-C ends what connects, too. */
  #inTime(connecting: Promise<void>): Promise<void> {
    const { connectTimeoutMs = CONNECT_MS } = this.#options;
    return within(connecting, connectTimeoutMs, this.#signal, "not connected");
  }

  async #connect(): Promise<void> {
    const { connections } = this.#options;
    for (let i = 0; i < connections; i++) {
      const client = new RpcClient(this.#options);
      this.#clients.push(this.#ending.use(client));
      await this.#inTime(client.connect());
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
      if (!this.#options.quiet) this.#say(seconds.at(-1)!, pace, recorder.isOver);
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
    return {
      target,
      settings: { pace, extent, warmUpMs, connections, timeoutMs, input },
      recorded,
      seconds,
      curve: recorder.curve(),
      client: watch.client,
      failed: failures(this.#options.failIf, recorded),
      interrupted: this.#signal.aborted,
    };
  }

  #say(
    { second, sent, answered, errors, p99, waiting }: Second,
    pace: Pace,
    isOver: boolean,
  ): void {
    const rate = pace.model === "open" ? ` of ${pace.rate} asked` : "";
    const time = p99 === null ? "" : `, p99 ${p99.toPrecision(3)} ms`;
    const queue = waiting === null ? "" : `, ${waiting} waiting`;
    const made = isOver ? "waiting for answers" : `${sent} sent${rate}`;
    const line = `${second} s: ${made}, ${answered} answered, ${count(errors, "error")}`;
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
