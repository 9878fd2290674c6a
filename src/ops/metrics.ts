/**
 * What a server does, for Prometheus.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { RPC_ERROR_CODES } from "../errors.ts";
import type { ConnectionStateChange } from "../amqp/supervisor.ts";
import type { ObservedRequest, RequestOutcome, ServerObserver } from "../rpc/server/observer.ts";
import type { QueueStatus } from "../rpc/server/served_queue.ts";
import type { ServerReadiness } from "../rpc/server/server.ts";

/** What is asked of a server at each scrape. */
export interface MeasuredServer {
  /** See {@linkcode RpcServer.state}. */
  readonly state: string;
  /** See {@linkcode RpcServer.readiness}. */
  readonly readiness: ServerReadiness;
  /** See {@linkcode RpcServer.queues}. */
  readonly queues: readonly QueueStatus[];
  /** See {@linkcode RpcServer.onStateChange}. */
  onStateChange(listener: (change: ConnectionStateChange) => void): () => void;
}

/** A response's code; an error's is that of the error. */
const OK = "ok";

/** Why a request got no reply: those of its outcomes that are neither a response nor a code. */
const DROPPED: readonly RequestOutcome[] = [
  "expired",
  "caller_gone",
  "rejected",
  "duplicate",
  "returned",
  "lost",
];

/** From half a millisecond to five minutes, in seconds. */
const BUCKETS = [
  ...[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 300],
];

/** A queue's label on every metric of it: nothing that a request holds becomes one. */
const QUEUE = ["queue"] as const;

/** What is counted of one queue; its parts are looked up once. */
interface QueueMetrics {
  readonly requests: Counter.Internal;
  readonly poisoned: Counter.Internal;
  readonly unroutable: Counter.Internal;
  readonly reconnects: Counter.Internal;
  readonly requestBytes: Counter.Internal;
  readonly replyBytes: Counter.Internal;
  readonly handling: { observe(seconds: number): void };
  readonly ended: ReadonlyMap<RequestOutcome, Counter.Internal>;
}

/**
 * Counts what a server does, and tells it in Prometheus' text format.
 *
 * @example A server with metrics
 * ```ts
 * import { ServerMetrics } from "@fibrpc/fibrpc/metrics";
 * import { RpcServer, type Service, text } from "@fibrpc/fibrpc/server";
 *
 * const shout: Service<string, string> = { queue: "shout", input: text, output: text };
 *
 * export function newServer(url: string): { server: RpcServer; scrape: () => Promise<string> } {
 *   const metrics = new ServerMetrics();
 *   const server = new RpcServer({ url, observer: metrics });
 *   server.serve(shout, (words) => words.toUpperCase());
 *   metrics.watch(server);
 *   return { server, scrape: () => metrics.text() };
 * }
 * ```
 */
export class ServerMetrics implements ServerObserver {
  /** Where the metrics are; a program may add its own. */
  readonly registry: Registry = new Registry();
  readonly #requests = this.#counter("requests_total", "Requests that were delivered.");
  readonly #replies = this.#counter(
    "replies_total",
    "Replies, by code: ok, or that of the error.",
    ["code"],
  );
  readonly #dropped = this.#counter(
    "requests_dropped_total",
    "Requests that got no reply from this server, by reason.",
    ["reason"],
  );
  readonly #poisoned = this.#counter(
    "poisoned_total",
    "Requests that were given up because their servers died, and answered with internal.",
  );
  readonly #unroutable = this.#counter(
    "replies_unroutable_total",
    "Replies that came back because their queue does not exist.",
  );
  readonly #requestBytes = this.#counter("request_bytes_total", "Bytes of the requests' bodies.");
  readonly #replyBytes = this.#counter("reply_bytes_total", "Bytes of the replies' bodies.");
  readonly #reconnects = this.#counter(
    "reconnects_total",
    "Connections that took a lost one's place.",
  );
  readonly #handling = new Histogram({
    name: "fibrpc_handling_seconds",
    help: "Time from the start of a request's handler to its reply.",
    labelNames: QUEUE,
    buckets: BUCKETS,
    registers: [this.registry],
  });
  readonly #queues = new Map<string, QueueMetrics>();

  requestReceived({ queue, bodyBytes }: ObservedRequest): void {
    const { requests, requestBytes } = this.#of(queue);
    requests.inc();
    requestBytes.inc(bodyBytes);
  }

  requestSettled(request: ObservedRequest, outcome: RequestOutcome): void {
    const { poisoned, replyBytes, handling, ended } = this.#of(request.queue);
    ended.get(outcome)?.inc();
    if (outcome === "poisoned") poisoned.inc();
    replyBytes.inc(request.replyBytes);
    if (request.startedAt !== undefined) {
      handling.observe((performance.now() - request.startedAt) / 1000);
    }
  }

  replyReturned(queue: string): void {
    this.#of(queue).unroutable.inc();
  }

  /** Counts how commands end, for an observer of theirs. */
  countCommands(queue: string): (exit: number | string) => void {
    const exits = this.#counter(
      "command_exits_total",
      "Commands that ended, by exit code or signal.",
      ["exit"],
    );
    return (exit) => exits.inc({ queue, exit: String(exit) });
  }

  /** Tells at each scrape how a server is. Call it once for a server, before it starts. */
  watch(server: MeasuredServer): void {
    const each = (name: string, help: string, value: (queue: QueueStatus) => number) =>
      this.#gauge(name, help, (gauge) => {
        for (const status of server.queues) gauge.set({ queue: status.queue }, value(status));
      });
    const whether = (name: string, help: string, isSo: () => boolean) =>
      each(name, help, () => isSo() ? 1 : 0);
    const isConnected = () => server.state === "connected" || server.state === "blocked";
    whether("connected", "Whether there is a connection.", isConnected);
    whether("blocked", "Whether the broker takes no messages.", () => server.state === "blocked");
    whether("draining", "Whether it is ending.", () => server.state === "draining");
    whether("ready", "Whether it takes requests.", () => server.readiness === "ready");
    each("in_flight", "Requests that were taken and are not settled.", ({ pending }) => pending);
    each("prefetch", "Requests that the broker hands out at once.", ({ prefetch }) => prefetch);
    each("concurrency", "Handlers that run at once, at most.", ({ concurrency }) => concurrency);
    const all = server.queues.map(({ queue }) => this.#of(queue));
    let wasConnected = false;
    let isLost = false;
    server.onStateChange(({ state }) => {
      if (state === "connecting") isLost = wasConnected;
      if (state !== "connected") return;
      for (const { reconnects } of isLost ? all : []) reconnects.inc();
      [wasConnected, isLost] = [true, false];
    });
  }

  /** All metrics in Prometheus' text format. */
  async text(): Promise<string> {
    return await this.registry.metrics();
  }

  /** The MIME type of that. */
  get contentType(): string {
    return this.registry.contentType;
  }

  #of(queue: string): QueueMetrics {
    let metrics = this.#queues.get(queue);
    if (metrics === undefined) {
      const ended = new Map<RequestOutcome, Counter.Internal>();
      const reply = (code: string) => this.#replies.labels({ queue, code });
      ended.set("response", reply(OK));
      for (const code of RPC_ERROR_CODES) ended.set(code, reply(code));
      ended.set("poisoned", reply("internal"));
      for (const reason of DROPPED) ended.set(reason, this.#dropped.labels({ queue, reason }));
      for (const counter of ended.values()) counter.inc(0); // There from the first scrape on.
      metrics = {
        requests: this.#requests.labels({ queue }),
        poisoned: this.#poisoned.labels({ queue }),
        unroutable: this.#unroutable.labels({ queue }),
        reconnects: this.#reconnects.labels({ queue }),
        requestBytes: this.#requestBytes.labels({ queue }),
        replyBytes: this.#replyBytes.labels({ queue }),
        handling: this.#handling.labels({ queue }),
        ended,
      };
      const { handling: _, ended: __, ...counters } = metrics;
      for (const counter of Object.values(counters)) counter.inc(0);
      this.#handling.zero({ queue });
      this.#queues.set(queue, metrics);
    }
    return metrics;
  }

  #counter<Label extends string = never>(
    name: string,
    help: string,
    labels: readonly Label[] = [],
  ): Counter<"queue" | Label> {
    return new Counter({
      name: `fibrpc_${name}`,
      help,
      labelNames: [...QUEUE, ...labels],
      registers: [this.registry],
    });
  }

  #gauge(name: string, help: string, collect: (gauge: Gauge<"queue">) => void): void {
    new Gauge({
      name: `fibrpc_${name}`,
      help,
      labelNames: QUEUE,
      registers: [this.registry],
      collect() {
        collect(this);
      },
    });
  }
}
