/**
 * `fibrpc doctor`.
 *
 * @module
 */
import type { BrokerUrl } from "../../amqp/broker_url.ts";
import { loginTo } from "../../amqp/credentials.ts";
import { RpcError } from "../../errors.ts";
import { CHECKS } from "../../ops/doctor/checks.ts";
import {
  type Check,
  type Diagnosis,
  type DoctorSubject,
  examine,
  type ProcessFacts,
  type Setting,
} from "../../ops/doctor/doctor.ts";
import { managementApi } from "../../ops/management.ts";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import { type ConnectOptions, resolveConnectOptions } from "../../rpc/connect_options.ts";
import { FibonacciClient } from "../../services/fibonacci/client.ts";
import { printable, quote } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, exitCodeOf } from "../exit_codes.ts";
import { print } from "../io/print.ts";
import { withOptionNames } from "../options/option_names.ts";
import { onEndSignal } from "../signals.ts";

export const DOCTOR_FORMATS = ["text", "json"] as const;

/** How long it may take to read a password, in milliseconds. */
const LOGIN_MS = 2_000;

const CALL_TIMEOUT_MS = 5_000;

export interface DoctorOptions extends ConnectOptions {
  readonly queue?: string;
  readonly settings: readonly Setting[];
  readonly process: ProcessFacts;
  /** The URL of the management API. */
  readonly management?: string;
  /** What to call the service with; without it there is no call. */
  readonly call?: string;
  /** The checks to report; those that they need are made too. */
  readonly only?: readonly string[];
  readonly output: typeof DOCTOR_FORMATS[number];
  /** Whether to leave out what is as it should be. */
  readonly quiet: boolean;
  /** Whether a warning is a failure. */
  readonly strict: boolean;
}

/**
 * Examines each broker.
 *
 * @returns The exit code: that of the first failure.
 */
export async function doctor(environment: Environment, options: DoctorOptions): Promise<number> {
  const { queue = DEFAULT_QUEUE, settings, process, only, output, quiet, strict } = options;
  const { brokers, ...connect } = resolveConnectOptions(options, "doctor");
  const ending = new AbortController();
  let exitCode: number = EXIT_OK;
  onEndSignal(environment, (signal) => {
    exitCode = EXIT_BY_SIGNAL[signal];
    ending.abort(new Error(signal));
  });
  const checks = checksFor(only);
  const isReported = ({ check, status }: Diagnosis) =>
    (only === undefined || only.includes(check)) &&
    !(quiet && (status === "ok" || status === "skip"));
  let printing: Promise<number | undefined> = Promise.resolve(undefined);
  const write = (text: string) => {
    printing = printing.then((end) => end ?? print(environment, text));
  };
  for (const broker of brokers) {
    if (brokers.length > 1 && output === "text") write(`${broker}\n`);
    const call = callOf(options, broker, queue);
    const management = await apiOf(options, broker, ending.signal);
    const subject = { broker, options: connect, queue, settings, process, management, call };
    const tell = (diagnosis: Diagnosis) => {
      if (!isReported(diagnosis)) return;
      write(output === "json" ? toJson(diagnosis, broker) : toText(diagnosis));
    };
    try {
      const found = await examine(subject, checks, tell, ending.signal);
      if (exitCode === EXIT_OK) exitCode = exitCodeAfter(found, strict);
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
  }
  const end = await printing;
  return end || exitCode;
}

/** In their order, with all that they need. */
function checksFor(only: readonly string[] | undefined): readonly Check[] {
  if (only === undefined) return CHECKS;
  const names = CHECKS.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const text = `there is no check ${quote(unknown)}, but ${names.join(", ")}`;
    throw new RpcError("invalid_argument", text);
  }
  const wanted = new Set(only);
  for (const { name, needs } of [...CHECKS].reverse()) {
    if (wanted.has(name)) { for (const need of needs) wanted.add(need); }
  }
  return CHECKS.filter(({ name }) => wanted.has(name));
}

async function apiOf(
  { management, ...options }: DoctorOptions,
  broker: BrokerUrl,
  signal: AbortSignal,
): Promise<DoctorSubject["management"]> {
  if (management === undefined) return undefined;
  const none = { username: broker.username, password: broker.password };
  return managementApi(
    management,
    await loginTo(broker, options, LOGIN_MS, signal).catch(() => none),
  );
}

function callOf(
  { call, ...options }: DoctorOptions,
  broker: BrokerUrl,
  queue: string,
): DoctorSubject["call"] {
  if (call === undefined) return undefined;
  return async (signal) => {
    const { scheme, address, vhost } = partsOf(broker);
    const { username, password } = broker;
    const own = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
    const url = `${scheme}://${broker.hasPassword ? `${own}@` : ""}${address}/${vhost}`;
    await using client = new FibonacciClient({ ...options, url, queue });
    const start = performance.now();
    await client.fibonacci(call, { timeoutMs: CALL_TIMEOUT_MS, signal });
    return `fib(${call}) was answered in ${(performance.now() - start).toPrecision(2)} ms`;
  };
}

function partsOf({ tls, host, port, vhost }: BrokerUrl) {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return { scheme: tls ? "amqps" : "amqp", address, vhost: encodeURIComponent(vhost) };
}

/** A broker's URL for people, without the password. */
export function shownUrl(broker: BrokerUrl): string {
  const { scheme, address, vhost } = partsOf(broker);
  return `${scheme}://${encodeURIComponent(broker.username)}@${address}/${vhost}`;
}

function exitCodeAfter(found: readonly Diagnosis[], strict: boolean): number {
  const failure = found.find(({ status }) => status === "fail");
  if (failure !== undefined) return exitCodeOf({ code: failure.code ?? "internal", remote: false });
  const isBad = found.some(({ status }) => status === "bug" || strict && status === "warn");
  return isBad ? EXIT_FAILURE : EXIT_OK;
}

const WIDTH = Math.max(...CHECKS.map(({ name }) => name.length));

function toText({ check, status, text, action }: Diagnosis): string {
  const label = `[${status}]`.padEnd(6);
  const lines = [`${label} ${check.padEnd(WIDTH)}  ${text}`];
  if (action !== undefined) lines.push(`${" ".repeat(7 + WIDTH)}  -> ${action}`);
  return lines.map((line) => `${printable(withOptionNames(line))}\n`).join("");
}

function toJson({ check, status, text, action, code }: Diagnosis, broker: BrokerUrl): string {
  const object = { v: 1, broker: String(broker), check, status, text, action, code };
  return `${printable(withOptionNames(JSON.stringify(object)))}\n`;
}
