/**
 * What a benchmark must not come to, such as `p99>50ms` or `errors>1%`.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { quote } from "../../text.ts";
import { PERCENTILES, type Recorded } from "./recorder.ts";

/** What is compared: times since they were due, failed calls, calls answered a second. */
const METRICS = [...Object.keys(PERCENTILES), "errors", "rate"];

const CONDITION = /^(p50|p90|p99|p99\.9|max|errors|rate)\s*(>=|<=|>|<)\s*(.+)$/;

const COMPARE: Readonly<Record<string, (value: number, limit: number) => boolean>> = {
  ">": (value, limit) => value > limit,
  "<": (value, limit) => value < limit,
  ">=": (value, limit) => value >= limit,
  "<=": (value, limit) => value <= limit,
};

/** A condition that fails a benchmark. */
export interface Condition {
  readonly text: string;
  /** Whether it holds: a time that nothing was answered in counts as endless. */
  holds(recorded: Recorded): boolean;
}

/**
 * Reads a condition.
 *
 * @param duration Reads a time, in milliseconds.
 * @throws {RpcError} `invalid_argument` if it is none.
 */
export function parseCondition(text: string, duration: (text: string) => number): Condition {
  const [, metric, operator, value] = CONDITION.exec(text.trim()) ?? [];
  if (metric === undefined) {
    const rule = `a metric (${METRICS.join(", ")}), > or <, and a limit, such as p99>50ms`;
    throw new RpcError("invalid_argument", `${quote(text)} is not ${rule}`);
  }
  const isPart = metric === "errors" && value!.endsWith("%");
  const limit = metric in PERCENTILES
    ? duration(value!)
    : number(text, isPart ? value!.slice(0, -1) : value!);
  return {
    text,
    holds: (recorded) => COMPARE[operator!]!(valueOf(metric, isPart, recorded), limit),
  };
}

function number(text: string, value: string): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value);
  throw new RpcError("invalid_argument", `${quote(value)} in ${quote(text)} is not a number`);
}

function valueOf(metric: string, isPart: boolean, recorded: Recorded): number {
  if (metric === "rate") return perSecond(recorded);
  if (metric === "errors") {
    const errors = errorCount(recorded);
    return isPart ? errors / Math.max(recorded.sent, 1) * 100 : errors;
  }
  return recorded.dueMs?.[metric as keyof typeof PERCENTILES] ?? Infinity;
}

export function errorCount({ errors }: Recorded): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0);
}

/** Calls answered a second, while it was measured. */
export function perSecond({ answeredWithin, seconds }: Recorded): number {
  return seconds === 0 ? 0 : answeredWithin / seconds;
}
