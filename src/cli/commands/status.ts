/**
 * `fibrpc status`.
 *
 * @module
 */
import { loginTo } from "../../amqp/credentials.ts";
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import type { ConnectionOptions } from "../../amqp/connection.ts";
import { connectFailure } from "../../amqp/failure.ts";
import { RpcError } from "../../errors.ts";
import { managedQueue, managementApi } from "../../ops/management.ts";
import { type BrokerProbe, Probe, type QueueProbe } from "../../ops/probe.ts";
import {
  judge,
  statusJson,
  type StatusLimits,
  statusPrometheus,
  statusText,
  type Verdict,
  watchText,
  worst,
} from "../../ops/status.ts";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import { type ConnectOptions, resolveConnectOptions } from "../../rpc/connect_options.ts";
import { messageOf, printable } from "../../text.ts";
import { pause, within } from "../../time.ts";
import type { Environment } from "../environment.ts";
import {
  EXIT_BY_SIGNAL,
  EXIT_FAILURE,
  EXIT_NO_SERVER,
  EXIT_OK,
  EXIT_UNAVAILABLE,
  exitCodeOf,
} from "../exit_codes.ts";
import { print } from "../io/print.ts";
import { report } from "../report.ts";
import { onEndSignal } from "../signals.ts";

export const STATUS_FORMATS = ["text", "json", "prometheus"] as const;

export interface StatusOptions extends ConnectOptions, StatusLimits {
  readonly queues?: readonly string[];
  /** The URL of the management API, which knows more. */
  readonly management?: string;
  readonly output: typeof STATUS_FORMATS[number];
  readonly quiet: boolean;
  /** How long one look may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How often to look again, in milliseconds; without it once. */
  readonly watchMs?: number;
}

const EXIT_CODES: Readonly<Record<Verdict, number>> = {
  ok: EXIT_OK,
  over: EXIT_FAILURE,
  unknown: EXIT_UNAVAILABLE,
  no_server: EXIT_NO_SERVER,
};

/**
 * Looks at the broker and the queues, once or again and again.
 *
 * @returns The exit code: that of the last look.
 */
export async function status(environment: Environment, options: StatusOptions): Promise<number> {
  const { quiet, watchMs } = options;
  const { brokers, ...connect } = resolveConnectOptions(options, "status");
  const ending = new AbortController();
  let signalled: number | undefined;
  onEndSignal(environment, (signal) => {
    signalled = EXIT_BY_SIGNAL[signal];
    ending.abort(new Error(signal));
  });
  await using looks = new Looks(options, brokers, connect, ending.signal);
  while (true) {
    let exitCode: number;
    try {
      const { verdict, text } = await looks.next();
      exitCode = EXIT_CODES[verdict];
      const end = quiet ? undefined : await print(environment, text);
      if (end !== undefined) return end === EXIT_OK ? exitCode : end;
    } catch (thrown) {
      if (signalled !== undefined) return signalled;
      const { error } = connectFailure(brokers[0]!, thrown);
      exitCode = exitCodeOf(error);
      if (!quiet) report(environment, `${error.code}: ${error.message}`);
    }
    if (watchMs === undefined) return signalled ?? exitCode;
    await pause(watchMs, ending.signal);
    if (signalled !== undefined) return signalled;
  }
}

/** One look after the other, on one connection as long as that lives. */
class Looks implements AsyncDisposable {
  readonly #options: StatusOptions;
  readonly #brokers: readonly BrokerUrl[];
  readonly #connect: ConnectionOptions;
  readonly #signal: AbortSignal;
  #probe: Probe | undefined;
  #before: readonly QueueProbe[] | undefined;

  constructor(
    options: StatusOptions,
    brokers: readonly BrokerUrl[],
    connect: ConnectionOptions,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#brokers = brokers;
    this.#connect = connect;
    this.#signal = signal;
  }

  /** What is found now, and how it is printed; what fails costs the connection. */
  async next(): Promise<{ verdict: Verdict; text: string }> {
    const { timeoutMs } = this.#options;
    const end = performance.now() + timeoutMs;
    try {
      this.#probe ??= await Probe.open(this.#brokers, this.#connect, timeoutMs, this.#signal);
      const leftMs = Math.max(end - performance.now(), 1);
      const [broker, queues] = await within(
        this.#look(this.#probe),
        leftMs,
        this.#signal,
        "no answer",
      );
      const text = this.#format(broker, queues);
      this.#before = queues;
      return { verdict: worst(queues.map((queue) => judge(queue, this.#options))), text };
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #look(probe: Probe): Promise<[BrokerProbe, QueueProbe[]]> {
    const { queues = [DEFAULT_QUEUE], management, timeoutMs } = this.#options;
    const broker = await probe.broker();
    const login = await loginTo(probe.url, this.#connect, timeoutMs, this.#signal);
    const api = management === undefined ? undefined : managementApi(management, login);
    const found: QueueProbe[] = [];
    for (const queue of queues) {
      const managed = api && await managedQueue(api, probe.url, queue, this.#signal);
      found.push({ ...await probe.queue(queue), managed });
    }
    return [broker, found];
  }

  #format(broker: BrokerProbe, queues: readonly QueueProbe[]): string {
    const { output, watchMs } = this.#options;
    if (output === "json") return statusJson(broker, queues, this.#options);
    if (output === "prometheus") return statusPrometheus(broker, queues);
    const isFirst = watchMs === undefined || this.#before === undefined;
    return safe(isFirst ? statusText(broker, queues) : watchText(queues, this.#before));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#probe?.[Symbol.asyncDispose]();
    this.#probe = undefined;
  }
}

/** A broker's and a queue's names do nothing to a terminal. */
function safe(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/**
 * Asks a worker whether it is ready: for health checks in images without another
 * HTTP client.
 *
 * @returns The exit code: 0 if it is, else 1.
 */
export async function workerStatus(
  environment: Environment,
  url: string,
  { timeoutMs, quiet }: Pick<StatusOptions, "timeoutMs" | "quiet">,
): Promise<number> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new RpcError("invalid_argument", "--worker is a URL such as http://127.0.0.1:9464");
  }
  let text: string;
  let exitCode = EXIT_FAILURE;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(new URL("/readyz", url), { signal, redirect: "error" });
    text = (await response.text()).trim().slice(0, 200);
    if (response.ok) exitCode = EXIT_OK;
  } catch (error) {
    text = `no answer: ${messageOf(error)}`;
  }
  const end = quiet ? undefined : await print(environment, `${printable(text)}\n`);
  return end || exitCode;
}
