/**
 * A benchmark's result for people.
 *
 * @module
 */
import { count } from "../../text.ts";
import { errorCount, perSecond } from "./condition.ts";
import { PERCENTILES, type Percentiles } from "./recorder.ts";
import {
  type BenchResult,
  type BenchSettings,
  isBusy,
  maxWaiting,
  reachedRate,
  sentPerSecond,
  type Target,
} from "./result.ts";

/** One result, in some lines. */
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

function queueText(result: BenchResult): string {
  const waiting = maxWaiting(result);
  return waiting === null ? "not seen" : `at most ${waiting} waiting, looked at each second`;
}

function clientText({ client, target: { isOwn } }: BenchResult): string {
  const whose = isOwn ? " (with its echo server)" : "";
  return `${client.cpu.toFixed(2)} processors, ${client.rssMb.toFixed(0)} MiB${whose}`;
}

function warnings(result: BenchResult): string[] {
  const { client, recorded: { heldBack, isHeldByLimit }, settings: { pace } } = result;
  const found: string[] = [];
  if (isBusy(result)) {
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

/** Milliseconds, to three digits that count. */
function times(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

function numberText(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}
