/**
 * A benchmark's result for programs: JSON and CSV.
 *
 * @module
 */
import { errorCount, perSecond } from "./condition.ts";
import { PERCENTILES, type Percentiles } from "./recorder.ts";
import { type BenchResult, isBottleneck, maxWaiting, sentPerSecond } from "./result.ts";

/** One object. Members are only ever added. */
export function benchJson(result: BenchResult): string {
  const { target, settings, recorded, client, failed, interrupted } = result;
  const { pace, extent, warmUpMs, connections, timeoutMs, input } = settings;
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
      maxWaiting: maxWaiting(result),
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
  const { settings: { pace }, recorded, client, failed } = result;
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
    maxWaiting(result) ?? "",
    rounded(client.cpu),
    failed.join(" "),
  ];
  return `${cells.join(",")}\n`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(6));
}
