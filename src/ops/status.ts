/**
 * Whether request queues are as they should be, and what that looks like.
 *
 * @module
 */
import type { QueueInspection } from "../amqp/queue.ts";
import type { BrokerProbe, QueueProbe } from "./probe.ts";

/** What is asked of a queue. */
export interface StatusLimits {
  /** So many consumers at least. */
  readonly minConsumers: number;
  /** So many requests may wait at most. */
  readonly maxWaiting: number;
  /** So many records of redelivered requests at most. */
  readonly maxSuspects: number;
}

/**
 * - `ok`: as it should be.
 * - `no_server`: too few consumers, or no queue.
 * - `over`: more waits than should, or more suspects.
 * - `unknown`: the broker does not let this user look.
 */
export type Verdict = "ok" | "no_server" | "over" | "unknown";

/** From the best to the one that counts if there are several. */
const VERDICTS: readonly Verdict[] = ["ok", "unknown", "over", "no_server"];

export function judge({ requests, suspects }: QueueProbe, limits: StatusLimits): Verdict {
  if (requests.found === "unknown") return "unknown";
  const { consumers, messages } = requests.found ? requests : { consumers: 0, messages: 0 };
  if (consumers < limits.minConsumers) return "no_server";
  const suspected = suspects.found === true ? suspects.messages : 0;
  return messages > limits.maxWaiting || suspected > limits.maxSuspects ? "over" : "ok";
}

/** The verdict on all of them. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  return VERDICTS[Math.max(0, ...verdicts.map((verdict) => VERDICTS.indexOf(verdict)))]!;
}

/** The figures of one queue; `null` is unknown. */
export interface QueueFigures {
  readonly queue: string;
  readonly exists: boolean | null;
  readonly consumers: number | null;
  readonly waiting: number | null;
  readonly suspects: number | null;
  /** Delivered, and not acknowledged; only by the management API. */
  readonly unacknowledged?: number;
  /** `classic` or `quorum`; only by the management API. */
  readonly type?: string;
}

export function figuresOf({ queue, requests, suspects, managed }: QueueProbe): QueueFigures {
  const { unacknowledged, type } = managed ?? {};
  return {
    queue,
    exists: requests.found === "unknown" ? null : requests.found,
    consumers: figure(requests, "consumers"),
    waiting: figure(requests, "messages"),
    suspects: figure(suspects, "messages"),
    ...(unacknowledged !== undefined && { unacknowledged }),
    ...(type !== undefined && { type }),
  };
}

function figure(queue: QueueInspection, name: "consumers" | "messages"): number | null {
  if (queue.found === "unknown") return null;
  return queue.found ? queue[name] : 0;
}

/** For people: a line about the broker, and one for each queue. */
export function statusText(broker: BrokerProbe, queues: readonly QueueProbe[]): string {
  const about = [broker.product, broker.clusterName && `cluster ${broker.clusterName}`];
  const known = about.filter(Boolean).join(", ");
  const head = `${broker.broker}${known && ` (${known})`}, connected in ${
    ms(broker.connectMs)
  }, round trip ${ms(broker.roundTripMs)}`;
  const width = Math.max(...queues.map(({ queue }) => queue.length));
  const lines = queues.map((probe) => `  ${probe.queue.padEnd(width)}   ${figuresText(probe)}`);
  return `${[head, ...lines].join("\n")}\n`;
}

function figuresText(probe: QueueProbe, before?: QueueProbe): string {
  const now = figuresOf(probe);
  if (now.exists === false) return "missing";
  const then = before && figuresOf(before);
  const figures = (["consumers", "waiting", "suspects"] as const)
    .map((name) => `${name} ${now[name] ?? "unknown"}${change(now[name], then?.[name])}`);
  if (now.unacknowledged !== undefined) figures.push(`unacknowledged ${now.unacknowledged}`);
  if (now.type !== undefined) figures.push(now.type);
  return figures.join("   ");
}

function change(now: number | null, then: number | null | undefined): string {
  if (now === null || then === null || then === undefined || now === then) return "";
  return ` (${now > then ? "+" : ""}${now - then})`;
}

/** A line an interval: the time, and what has changed. */
export function watchText(
  queues: readonly QueueProbe[],
  before: readonly QueueProbe[] | undefined,
): string {
  const time = new Date().toISOString().slice(11, 19);
  return queues
    .map((probe, index) => `${time}  ${probe.queue}   ${figuresText(probe, before?.[index])}\n`)
    .join("");
}

export function statusJson(
  { product, clusterName, ...broker }: BrokerProbe,
  queues: readonly QueueProbe[],
  limits: StatusLimits,
): string {
  const figures = queues.map((probe) => ({ ...figuresOf(probe), verdict: judge(probe, limits) }));
  const object = {
    v: 1,
    ok: figures.every(({ verdict }) => verdict === "ok"),
    ...broker,
    connectMs: rounded(broker.connectMs),
    roundTripMs: rounded(broker.roundTripMs),
    product: product ?? null,
    cluster: clusterName ?? null,
    queues: figures,
  };
  return `${JSON.stringify(object)}\n`;
}

/** For the textfile collector of Prometheus' node exporter, by the names of `serve --http`. */
export function statusPrometheus(broker: BrokerProbe, queues: readonly QueueProbe[]): string {
  const lines = (["waiting", "consumers", "suspects"] as const).flatMap((name) => [
    `# TYPE fibrpc_queue_${name} gauge`,
    ...queues.map(figuresOf).filter((figures) => figures[name] !== null).map((figures) =>
      `fibrpc_queue_${name}{queue="${escapeLabel(figures.queue)}"} ${figures[name]}`
    ),
  ]);
  lines.push("# TYPE fibrpc_round_trip_seconds gauge");
  lines.push(`fibrpc_round_trip_seconds ${broker.roundTripMs / 1000}`);
  return `${lines.join("\n")}\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function ms(value: number): string {
  return `${rounded(value)} ms`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(2));
}
