/**
 * What a benchmark has found, as text, JSON and CSV.
 *
 * @module
 */
import { count } from "../../text.ts";
import { type Condition, errorCount, perSecond } from "./condition.ts";
import type { Extent, Pace } from "./load.ts";
import { PERCENTILES, type Percentiles, type Recorded, type Second } from "./recorder.ts";

/** An open load is told from its rate if it makes so much less of it. */
const REACHED = 0.95;

/** From so much of a processor on, this process may be what limits. */
const BUSY = 0.9;

/** Where the calls went. */
export interface Target {
  readonly broker: string;
  /** Such as `RabbitMQ 4.3.6`. */
  readonly product: string | undefined;
  readonly queue: string;
  /** `null` is unknown. */
  readonly consumers: number | null;
  /** Whether the server is this process. */
  readonly isOwn: boolean;
  /** A round trip to the broker, in milliseconds. */
  readonly roundTripMs: number;
}

/** How they were made. */
export interface BenchSettings {
  readonly pace: Pace;
  readonly extent: Extent;
  readonly warmUpMs: number;
  readonly connections: number;
  readonly timeoutMs: number;
  /** What was called with, in words. */
  readonly input: string;
}

export interface BenchResult {
  readonly target: Target;
  readonly settings: BenchSettings;
  readonly recorded: Recorded;
  readonly seconds: readonly Second[];
  /** Percentiles, and the milliseconds since due that they are. */
  readonly curve: readonly (readonly [percentile: number, ms: number])[];
  /** Of this process while it was measured. */
  readonly client: { readonly cpu: number; readonly rssMb: number };
  /** The conditions that it failed, as they were given. */
  readonly failed: readonly string[];
  /** Whether it was ended early. */
  readonly interrupted: boolean;
}

/** Which conditions hold that must not. */
export function failures(conditions: readonly Condition[], recorded: Recorded): string[] {
  return conditions.filter((condition) => condition.holds(recorded)).map(({ text }) => text);
}

/** Calls made a second. */
function sentPerSecond({ recorded: { sent, seconds } }: BenchResult): number {
  return seconds === 0 ? 0 : sent / seconds;
}

/** Whether the rate that was asked for was made. */
export function reachedRate(result: BenchResult): boolean {
  const { pace } = result.settings;
  return pace.model === "closed" || sentPerSecond(result) >= pace.rate * REACHED;
}

/** For people. */
export function benchText(result: BenchResult): string {
  const { target, settings, recorded, failed, interrupted } = result;
  const rows: [string, string][] = [
    ["target", targetText(target)],
    ["load", loadText(settings, recorded.seconds)],
    ["calls", callsText(result)],
  ];
  for (const [code, number] of Object.entries(recorded.errors)) {
    rows.push(["errors", `${number} ${code}`]);
  }
  if (recorded.firstError !== undefined) rows.push(["", `the first: ${recorded.firstError}`]);
  rows.push(...timesText(result), ["queue", queueText(result)], ["client", clientText(result)]);
  for (const warning of warnings(result)) rows.push(["note", warning]);
  if (interrupted) rows.push(["note", "ended early: this is what there was until then"]);
  rows.push(["result", failed.length === 0 ? "passed" : `failed: ${failed.join(", ")}`]);
  return rows.map(([name, text]) => `${name.padEnd(13)}${text}\n`).join("");
}

function targetText(target: Target): string {
  const { queue, broker, product, consumers, isOwn, roundTripMs } = target;
  const who = isOwn
    ? "an echo server in this process"
    : consumers === null
    ? "consumers unknown"
    : count(consumers, "consumer");
  const about = product === undefined ? "" : ` (${product})`;
  return `${queue} on ${broker}${about}, ${who}, round trip ${times(roundTripMs)} ms`;
}

function loadText({ pace, warmUpMs, connections, input }: BenchSettings, seconds: number): string {
  const model = pace.model === "closed"
    ? `closed: ${pace.inFlight} in flight`
    : `open: ${numberText(pace.rate)} calls/s`;
  const over = `over ${count(connections, "connection")}`;
  const time = `for ${seconds.toFixed(1)} s after ${(warmUpMs / 1_000).toFixed(1)} s of warm-up`;
  return `${input}; ${model}, ${over}, ${time}`;
}

function callsText(result: BenchResult): string {
  const { recorded } = result;
  const { sent, answered, answeredAfter, heldBack } = recorded;
  const open = sent - answered - errorCount(recorded);
  const parts = [
    `${sent} sent (${numberText(sentPerSecond(result))}/s)`,
    `${answered} answered (${numberText(perSecond(recorded))}/s)`,
  ];
  if (answeredAfter > 0) parts.push(`${answeredAfter} of them after the end`);
  parts.push(count(errorCount(recorded), "error"));
  if (open > 0) parts.push(`${open} without an answer yet`);
  if (heldBack > 0) parts.push(`${heldBack} held back`);
  return parts.join(", ");
}

function timesText({ settings: { pace }, recorded }: BenchResult): [string, string][] {
  const { dueMs, sentMs } = recorded;
  if (dueMs === undefined || sentMs === undefined) return [["latency", "nothing was answered"]];
  const names = Object.keys(PERCENTILES) as (keyof Percentiles)[];
  const line = (cells: readonly string[]) => cells.map((cell) => cell.padStart(9)).join("");
  const row = (of: Percentiles) => `${line(names.map((name) => times(of[name])))} ms`;
  const left = errorCount(recorded) === 0 ? "" : " (of answered calls only)";
  const rows: [string, string][] = [["latency", `${line(names)}${left}`]];
  if (pace.model === "open") rows.push(["  since due", row(dueMs)]);
  rows.push(["  since sent", row(sentMs)]);
  return rows;
}

function queueText({ seconds }: BenchResult): string {
  const waiting = seconds.map(({ waiting }) => waiting).filter((waiting) => waiting !== null);
  if (waiting.length === 0) return "not seen";
  return `at most ${Math.max(...waiting)} waiting, looked at each second`;
}

function clientText({ client, target: { isOwn } }: BenchResult): string {
  const whose = isOwn ? " (with its echo server)" : "";
  return `${client.cpu.toFixed(2)} processors, ${client.rssMb.toFixed(0)} MiB${whose}`;
}

function warnings(result: BenchResult): string[] {
  const { client, recorded: { heldBack, isHeldByLimit }, settings: { pace } } = result;
  const found: string[] = [];
  if (client.cpu >= BUSY) {
    const used = client.cpu.toFixed(2);
    found.push(`this client used ${used} processors: it may be what limited the rate`);
  }
  if (heldBack > 0) {
    const why = isHeldByLimit
      ? `at most ${pace.inFlight} are in flight (--in-flight)`
      : "this client can't make more";
    found.push(`${count(heldBack, "call")} due and not made: ${why}`);
  }
  return found;
}

/** Whether the generator itself may be what limits. */
export function isBottleneck(
  { client, recorded: { heldBack, isHeldByLimit } }: BenchResult,
): boolean {
  return client.cpu >= BUSY || heldBack > 0 && !isHeldByLimit;
}

/** One object. Members are only ever added. */
export function benchJson(result: BenchResult): string {
  const { target, settings, recorded, seconds, client, failed, interrupted } = result;
  const { pace, extent, warmUpMs, connections, timeoutMs, input } = settings;
  const waiting = seconds.map(({ waiting }) => waiting).filter((waiting) => waiting !== null);
  const object = {
    v: 1,
    target: { ...target, roundTripMs: rounded(target.roundTripMs) },
    settings: { input, ...pace, ...extent, warmUpMs, connections, timeoutMs },
    seconds: rounded(recorded.seconds),
    sent: recorded.sent,
    answered: recorded.answered,
    answeredAfter: recorded.answeredAfter,
    errors: recorded.errors,
    rate: {
      asked: pace.model === "open" ? pace.rate : null,
      sent: rounded(sentPerSecond(result)),
      answered: rounded(perSecond(recorded)),
    },
    heldBack: recorded.heldBack,
    ms: {
      ...(pace.model === "open" && { due: recorded.dueMs ?? null }),
      sent: recorded.sentMs ?? null,
    },
    queue: {
      consumers: target.consumers,
      maxWaiting: waiting.length === 0 ? null : Math.max(...waiting),
    },
    client: { cpu: rounded(client.cpu), rssMb: rounded(client.rssMb) },
    bottleneck: isBottleneck(result),
    interrupted,
    failed,
  };
  return `${JSON.stringify(object)}\n`;
}

/** The columns of {@linkcode benchCsv}. */
export const CSV_HEAD = `${
  [
    "asked_per_second",
    "sent_per_second",
    "answered_per_second",
    "sent",
    "answered",
    "errors",
    "held_back",
    ...Object.keys(PERCENTILES).map((name) => `due_${name.replace(".", "_")}_ms`),
    ...Object.keys(PERCENTILES).map((name) => `sent_${name.replace(".", "_")}_ms`),
    "max_waiting",
    "client_cpu",
    "failed",
  ].join(",")
}\n`;

/** One line. */
export function benchCsv(result: BenchResult): string {
  const { settings: { pace }, recorded, client, failed, seconds } = result;
  const waiting = seconds.map(({ waiting }) => waiting).filter((waiting) => waiting !== null);
  const names = Object.keys(PERCENTILES) as (keyof Percentiles)[];
  const cells = [
    pace.model === "open" ? pace.rate : "",
    rounded(sentPerSecond(result)),
    rounded(perSecond(recorded)),
    recorded.sent,
    recorded.answered,
    errorCount(recorded),
    recorded.heldBack,
    ...names.map((name) => recorded.dueMs?.[name] ?? ""),
    ...names.map((name) => recorded.sentMs?.[name] ?? ""),
    waiting.length === 0 ? "" : Math.max(...waiting),
    rounded(client.cpu),
    failed.join(" "),
  ];
  return `${cells.join(",")}\n`;
}

const STEP_COLUMNS = ["asked/s", "sent/s", "answered/s", "errors", "p50 ms", "p99 ms", "max ms"];

/** The head of a table with one row for each rate. */
export const STEP_HEAD = `${STEP_COLUMNS.map((name) => name.padStart(11)).join("")}  result\n`;

/** One row of that table. */
export function stepText(result: BenchResult): string {
  const { settings: { pace }, recorded, failed } = result;
  const { dueMs } = recorded;
  const cells = [
    pace.model === "open" ? numberText(pace.rate) : "",
    numberText(sentPerSecond(result)),
    numberText(perSecond(recorded)),
    String(errorCount(recorded)),
    ...[dueMs?.p50, dueMs?.p99, dueMs?.max].map((ms) => ms === undefined ? "-" : times(ms)),
  ];
  const verdict = failed.length > 0
    ? `failed: ${failed.join(", ")}`
    : reachedRate(result)
    ? "passed"
    : "failed: the rate was not reached";
  return `${cells.map((cell) => cell.padStart(11)).join("")}  ${verdict}\n`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(6));
}

/** Milliseconds, to three digits that count. */
function times(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

function numberText(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}
