/**
 * `fibrpc serve`.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../../errors.ts";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import type { ListenAddress } from "../../ops/http/listener.ts";
import type { Monitor } from "../../ops/monitor.ts";
import { bytes } from "../../rpc/codec.ts";
import {
  DEFAULT_DRAIN_TIMEOUT_MS,
  type RpcServerOptions,
  type ServeOptions,
} from "../../rpc/server/options.ts";
import type { QueueStatus } from "../../rpc/server/served_queue.ts";
import { RpcServer } from "../../rpc/server/server.ts";
import { type CommandHandler, commandHandler } from "../../services/command/command.ts";
import { FibonacciServer, type FibonacciServerOptions } from "../../services/fibonacci/server.ts";
import { messageOf } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_UNAVAILABLE, exitCodeOf } from "../exit_codes.ts";
import { HealthFile } from "../health_file.ts";
import { onEndSignal } from "../signals.ts";
import { startTracing } from "../tracing.ts";
import { programInfo, version } from "../version.ts";

const logger = getLogger(["fibrpc", "serve"]);

/** After so many attempts in a row to start a command, each of which failed, the server ends. */
const MAX_START_FAILURES = 5;

/** How long a command may run by default, in milliseconds. */
const DEFAULT_MAX_TIME_MS = 30_000;

/** How a server is run, whatever it serves. */
interface RunOptions {
  /** Whether to end when there is no connection, instead of trying again. */
  readonly exitOnDisconnect: boolean;
  /** Where to answer probes, scrapes and people. */
  readonly http?: ListenAddress;
  /** How often the queue's metrics are renewed, in milliseconds. */
  readonly queueMetricsMs?: number;
  /** A file that is there while the server is ready. */
  readonly healthFile?: string;
}

/** What `serve -- command` serves. */
export interface ServedCommandOptions extends RpcServerOptions, ServeOptions, RunOptions {
  readonly queue: string;
  /** The file, and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly contentType?: string;
}

/** What `serve` serves: Fibonacci, or a command. */
export type ServeCommandOptions = FibonacciServerOptions & RunOptions | ServedCommandOptions;

/**
 * Serves until a signal comes, then drains.
 *
 * @returns The exit code.
 */
export async function serve(
  environment: Environment,
  options: ServeCommandOptions,
): Promise<number> {
  const { queue = DEFAULT_QUEUE, exitOnDisconnect } = options;
  const ended = Promise.withResolvers<number>();
  let isEnding = false;
  const end = (exitCode: number) => {
    isEnding = true;
    server.close().then(() => ended.resolve(exitCode));
  };
  const onStateChange: RpcServerOptions["onStateChange"] = ({ state, broker, reason, product }) => {
    healthFile?.update();
    if (state === "connected") {
      const text = "Awaiting RPC requests on {queue} at {broker}";
      logger.info(product === undefined ? text : `${text} ({product})`, { queue, broker, product });
    } else if (state === "connecting" && exitOnDisconnect && !isEnding) {
      logger.error("no connection to {broker}, and not to try again: {reason}", { broker, reason });
      end(EXIT_UNAVAILABLE);
    }
  };
  const startFailed = (reason: string, inARow: number) => {
    logger.error("{reason} ({inARow} times in a row)", { reason, inARow });
    if (inARow === MAX_START_FAILURES && !isEnding) end(EXIT_FAILURE);
  };
  const { http, queueMetricsMs } = options;
  const monitor = http && await newMonitor();
  await using handler = "command" in options
    ? commandHandler({
      ...options,
      observer: { startFailed, ...monitor?.watchCommands(options.queue) },
    })
    : undefined;
  const tracing = await startTracing(environment);
  const watched = {
    ...options,
    onStateChange,
    interceptors: tracing.requests,
    ...(monitor && { observer: monitor.observer }),
  };
  const server = handler === undefined
    ? new FibonacciServer(watched)
    : commandServer(handler, watched as ServedCommandOptions);
  logStart(server.queues[0]!, options);
  let healthFile: HealthFile | undefined;
  onEndSignal(environment, (signal) => {
    isEnding = true;
    const { pending } = server;
    logger.info("{signal}: draining: {pending} requests are being finished, no more are taken", {
      signal,
      pending,
    });
    server.close().then((unanswered) => {
      if (unanswered > 0) {
        logger.error("not all requests were finished in time: the others go back to the queue");
      }
      ended.resolve(unanswered === 0 ? EXIT_OK : EXIT_FAILURE);
    });
  });
  environment.onWarning((text) => logger.warn("{text}", { text }));
  if (http !== undefined) {
    try {
      await monitor!.start(server, { address: http, queueMetricsMs });
      logger.info("health, metrics and a page are at {url}", { url: monitor!.url });
    } catch (error) {
      logger.error("can't listen on {address}: {reason}", {
        address: `${http.host ?? ""}:${http.port}`,
        reason: messageOf(error),
      });
      return EXIT_FAILURE;
    }
  }
  if (options.healthFile !== undefined) {
    healthFile = new HealthFile(options.healthFile, () => server.readiness === "ready");
  }
  try {
    await server.start();
  } catch (thrown) {
    const error = RpcError.from(thrown);
    // Closed before it ever connected: `ended` says why.
    if (error.code !== "cancelled") {
      logger.error("{message} ({code})", { message: error.message, code: error.code });
      await healthFile?.close();
      return exitCodeOf(error);
    }
  }
  const exitCode = await ended.promise;
  await healthFile?.close();
  await monitor?.close();
  await tracing.end();
  logger.info("served {responses} responses and {errors} errors", { ...server.stats });
  return exitCode;
}

function logStart(status: QueueStatus, { maxTimeMs, drainTimeoutMs }: ServeCommandOptions): void {
  const { prefetch, concurrency } = status;
  const text = "fibrpc {version} serves {queue}: prefetch {prefetch}, concurrency {concurrency}, " +
    "max time {maxTimeMs} ms, drain timeout {drainTimeoutMs} ms";
  logger.info(text, {
    version: version(),
    queue: status.queue,
    prefetch,
    concurrency,
    maxTimeMs: maxTimeMs ?? DEFAULT_MAX_TIME_MS,
    drainTimeoutMs: drainTimeoutMs ?? DEFAULT_DRAIN_TIMEOUT_MS,
  });
}

/** Loaded only where it is asked for. */
async function newMonitor(): Promise<Monitor> {
  const { Monitor } = await import("../../ops/monitor.ts");
  return new Monitor(programInfo());
}

function commandServer(handler: CommandHandler, options: ServedCommandOptions): RpcServer {
  const { queue, contentType = bytes.contentType } = options;
  const { concurrency = navigator.hardwareConcurrency, prefetch = concurrency } = options;
  const { maxTimeMs = DEFAULT_MAX_TIME_MS } = options;
  const server = new RpcServer(options);
  const service = { queue, input: bytes, output: { ...bytes, contentType } };
  server.serve(service, handler, { ...options, concurrency, prefetch, maxTimeMs });
  return server;
}
