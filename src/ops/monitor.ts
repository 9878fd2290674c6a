/**
 * How a server is, over HTTP: for probes, for Prometheus, for people.
 *
 * @module
 */
import { Gauge } from "prom-client";
import { Observers, type RpcServerStats, type ServerObserver } from "../rpc/server/observer.ts";
import { type HttpAnswer, HttpListener, type ListenAddress } from "./http/listener.ts";
import { page } from "./http/page/page.ts";
import { ServerHistory } from "./history.ts";
import { type MeasuredServer, ServerMetrics } from "./metrics.ts";
import { collectProcessMetrics } from "./process_metrics.ts";
import { type QueueInspector, QueueMetrics } from "./queue_metrics.ts";

/** A handler that is over its time by more than this is stuck, in milliseconds. */
const MAX_OVERRUN_MS = 60_000;

/** What is asked of a server that is monitored. */
export interface MonitoredServer extends MeasuredServer, QueueInspector {
  readonly queues: MeasuredServer["queues"];
  readonly broker: string | undefined;
  readonly pending: number;
  readonly overrunMs: number;
  readonly stats: Readonly<RpcServerStats>;
}

/** What a page says of the program. */
export interface ProgramInfo {
  readonly version: string;
  /** The runtime that it is on, such as `bun 1.4.5`. */
  readonly base: string;
}

/** Where it answers, and what else it tells. */
export interface MonitorOptions {
  readonly address: ListenAddress;
  /** How often it looks at the queues, in milliseconds. Default: never. */
  readonly queueMetricsMs?: number | undefined;
}

/** Answers over HTTP from before the server connects until it has ended. */
export class Monitor {
  /** For the server's options. */
  readonly observer: ServerObserver;
  readonly metrics = new ServerMetrics();
  readonly #program: ProgramInfo;
  readonly #history = new ServerHistory(() => this.#server?.pending ?? 0);
  readonly #startedAt = Date.now();
  #server: MonitoredServer | undefined;
  #product: string | undefined;
  #reason: string | undefined;
  #queues: QueueMetrics | undefined;
  #listener: HttpListener | undefined;

  constructor(program: ProgramInfo) {
    this.#program = program;
    this.observer = new Observers(this.metrics, this.#history);
    const { registry } = this.metrics;
    collectProcessMetrics(registry);
    const build = new Gauge({
      name: "fibrpc_build_info",
      help: "1; the labels say what runs.",
      labelNames: ["version", "base"],
      registers: [registry],
    });
    build.set({ ...program }, 1);
  }

  /**
   * Begins to answer.
   *
   * @throws {Error} If the address can't be had.
   */
  async start(server: MonitoredServer, options: MonitorOptions): Promise<void> {
    const { address, queueMetricsMs } = options;
    this.#server = server;
    this.metrics.watch(server);
    server.onStateChange(({ product, reason }) => {
      this.#product = product ?? this.#product;
      this.#reason = reason;
    });
    this.#history.start();
    if (queueMetricsMs !== undefined) {
      this.#queues = new QueueMetrics(this.metrics.registry, server, queueMetricsMs);
    }
    this.#listener = await HttpListener.start(address, {
      "/": page,
      "/livez": () => this.#livez(server),
      "/readyz": () => readyz(server),
      "/metrics": async () => ({
        contentType: this.metrics.contentType,
        body: await this.metrics.text(),
      }),
      "/status.json": () => this.#status(server),
    });
  }

  /** For the observer of a queue's commands. */
  watchCommands(queue: string): { commandEnded(exit: number | string): void } {
    return { commandEnded: this.metrics.countCommands(queue) };
  }

  /** Where it answers, such as `http://127.0.0.1:9464`. */
  get url(): string | undefined {
    return this.#listener?.url;
  }

  async close(): Promise<void> {
    this.#history.stop();
    this.#queues?.stop();
    await this.#listener?.close();
  }

  /** That there is an answer shows that the event loop turns. */
  #livez({ overrunMs }: MonitoredServer): HttpAnswer {
    if (overrunMs <= MAX_OVERRUN_MS) return word(200, "ok");
    return word(503, `a handler is ${Math.round(overrunMs / 1000)} s over its time`);
  }

  #status(server: MonitoredServer): HttpAnswer {
    const { readiness, broker, queues, stats } = server;
    const sum = (of: (queue: typeof queues[number]) => number) =>
      queues.reduce((total, queue) => total + of(queue), 0);
    const status = {
      v: 1,
      version: this.#program.version,
      base: this.#program.base,
      startedAt: this.#startedAt,
      now: Date.now(),
      queue: queues.map(({ queue }) => queue).join(", "),
      readiness,
      reason: readiness === "ready" ? undefined : this.#reason,
      broker,
      product: this.#product,
      inFlight: sum(({ pending }) => pending),
      prefetch: sum(({ prefetch }) => prefetch),
      totals: stats,
      samples: this.#history.samples,
      failures: this.#history.failures,
    };
    return { contentType: "application/json", body: `${JSON.stringify(status)}\n` };
  }
}

function readyz({ readiness }: MonitoredServer): HttpAnswer {
  return readiness === "ready" ? word(200, "ok") : word(503, readiness);
}

function word(status: number, text: string): HttpAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}
