/**
 * `fibrpc status`.
 *
 * @module
 */
import { loginTo } from "../../amqp/credentials.ts";
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
  const { queues = [DEFAULT_QUEUE], output, quiet, timeoutMs, watchMs, management } = options;
  const { brokers, ...connect } = resolveConnectOptions(options, "status");
  const ending = new AbortController();
  let exitCode = EXIT_OK;
  onEndSignal(environment, (signal) => {
    exitCode = EXIT_BY_SIGNAL[signal];
    ending.abort(new Error(signal));
  });
  let probe: Probe | undefined;
  let before: QueueProbe[] | undefined;
  const look = async (): Promise<[BrokerProbe, QueueProbe[]]> => {
    probe ??= await Probe.open(brokers, connect, timeoutMs, ending.signal);
    const broker = await probe.broker();
    const found: QueueProbe[] = [];
    const login = await loginTo(probe.url, connect, timeoutMs, ending.signal);
    const api = management === undefined ? undefined : managementApi(management, login);
    for (const queue of queues) {
      const managed = api && await managedQueue(api, probe.url, queue, ending.signal);
      found.push({ ...await probe.queue(queue), managed });
    }
    return [broker, found];
  };
  const print = async (text: string) => {
    if (!quiet) await environment.writeStdout(new TextEncoder().encode(text));
  };
  try {
    while (!ending.signal.aborted) {
      try {
        const [broker, found] = await within(look(), timeoutMs, ending.signal, "no answer");
        exitCode = EXIT_CODES[worst(found.map((queue) => judge(queue, options)))];
        if (output === "json") await print(statusJson(broker, found, options));
        else if (output === "prometheus") await print(statusPrometheus(broker, found));
        else if (watchMs === undefined || before === undefined) {
          await print(safe(statusText(broker, found)));
        } else await print(safe(watchText(found, before)));
        before = found;
      } catch (thrown) {
        if (ending.signal.aborted) break;
        const { error } = connectFailure(brokers[0]!, thrown);
        exitCode = exitCodeOf(error);
        if (!quiet) report(environment, `${error.code}: ${error.message}`);
        await probe?.[Symbol.asyncDispose]();
        probe = undefined;
      }
      if (watchMs === undefined) break;
      await pause(watchMs, ending.signal);
    }
  } finally {
    await probe?.[Symbol.asyncDispose]();
  }
  return exitCode;
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
  if (!quiet) await environment.writeStdout(new TextEncoder().encode(`${printable(text)}\n`));
  return exitCode;
}
