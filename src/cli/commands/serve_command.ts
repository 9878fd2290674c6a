/**
 * `fibrpc serve`: its options, and what they mean to the server.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { RpcError } from "../../errors.ts";
import { QUEUE_TYPES } from "../../amqp/queue.ts";
import { DEFAULT_MAX_N, MAX_MAX_N, MAX_WORKERS } from "../../services/fibonacci/limits.ts";
import {
  addConnectOptions,
  connectOptions,
  given,
  HEARTBEAT_OPTION,
} from "../options/connect_options.ts";
import type { Environment } from "../environment.ts";
import { childVariables, findProgram } from "../options/child.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { serve } from "./serve.ts";
import { duration, listenAddress, matcher, oneOf, wholeNumber } from "../options/values.ts";

/**
 * Gives `command` its options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 * @param words What to run for each request, if it isn't Fibonacci.
 * @param run What they are made for.
 */
export function defineServe(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
  words?: readonly string[],
  run: typeof serve = serve,
): void {
  addConnectOptions(command)
    .option(
      "--max-n <n>",
      `largest n that is computed (default: ${DEFAULT_MAX_N})`,
      wholeNumber(0, MAX_MAX_N),
    )
    .option(
      "--max-time <time>",
      "longest computation, or run of a command (default: 30s)",
      duration,
    )
    .option(
      "--workers <count>",
      "threads for big numbers (default: one per core)",
      wholeNumber(0, MAX_WORKERS),
    )
    .option(
      "--concurrency <count>",
      "commands that run at the same time (default: one per core)",
      wholeNumber(1, 65_535),
    )
    .option("--content-type <type>", "of a command's responses (default: application/octet-stream)")
    .option(
      "--prefetch <count>",
      "requests taken before replies are sent (default: 64; of a command: --concurrency)",
      wholeNumber(1, 65_535),
    )
    .option(
      "--max-attempts <count>",
      "times a request may kill its server (default: 3)",
      wholeNumber(2, 1_000_000),
    )
    .option(
      "--no-quarantine",
      "don't record which requests were under way when a server died: none is given up",
    )
    .option(
      "--allow-reply-to <pattern...>",
      'reply queues that may be used, such as "amq.*" (default: all)',
    )
    .option(
      "--drain-timeout <time>",
      "to finish requests at the end (default: 25s; docker stop waits 10s)",
      duration,
    )
    .option(
      "--http <[host:]port>",
      "answer probes, Prometheus and people there; a port alone is on loopback, :9464 on all interfaces",
      listenAddress,
    )
    .option("--queue-metrics <time>", "renew the queue's metrics so often, such as 15s", duration)
    .option("--health-file <file>", "a file that is there, and touched, while requests are taken")
    .option(
      "--exit-on-disconnect",
      "end with 3 when there is no connection, instead of trying again",
    )
    .option(
      "--queue-type <type>",
      `how a missing queue is declared: ${QUEUE_TYPES.join(", ")} (default: transient)`,
      oneOf(...QUEUE_TYPES),
    )
    .option(...HEARTBEAT_OPTION)
    .option(...logLevelOption("info"))
    .option(...LOG_FORMAT_OPTION)
    .option("--quiet", "log errors only")
    .action(async (options) => {
      configureLogging(environment, options, "info");
      const { maxN, workers, prefetch, maxAttempts, quarantine, queueType } = options;
      const { maxTime: maxTimeMs, drainTimeout: drainTimeoutMs } = options;
      const { http, queueMetrics: queueMetricsMs, healthFile } = options;
      if (queueMetricsMs !== undefined && http === undefined) {
        throw new RpcError("invalid_argument", "--queue-metrics needs --http, which shows them");
      }
      const allowReplyTo = options.allowReplyTo && matcher(options.allowReplyTo);
      const connect = await connectOptions(environment, options, "serve");
      const common = {
        ...connect,
        ...given({ maxTimeMs, prefetch, maxAttempts, quarantine, queueType }),
        ...given({ allowReplyTo, drainTimeoutMs }),
        ...given({ http, queueMetricsMs, healthFile }),
        exitOnDisconnect: options.exitOnDisconnect ?? false,
      };
      const { concurrency, contentType } = options;
      if (words === undefined) {
        refuseOptions(given({ concurrency, contentType }), "needs a command: -- command args...");
        exit(await run(environment, { ...common, ...given({ maxN, workers }) }));
        return;
      }
      refuseOptions(given({ maxN, workers }), "is about Fibonacci, not a command");
      if (connect.queue === undefined) {
        throw new RpcError("invalid_argument", "a command needs --queue: rpc_queue is Fibonacci's");
      }
      const [program, ...args] = words;
      if (program === undefined) {
        throw new RpcError("invalid_argument", "there is no command after --");
      }
      const env = await childVariables(environment, connect);
      exit(
        await run(environment, {
          ...common,
          ...given({ concurrency, contentType }),
          queue: connect.queue,
          command: [findProgram(program, env.PATH), ...args],
          env,
        }),
      );
    });
}

function refuseOptions(options: Record<string, unknown>, why: string): void {
  const [name] = Object.keys(options);
  if (name === undefined) return;
  const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new RpcError("invalid_argument", `${option} ${why}`);
}
