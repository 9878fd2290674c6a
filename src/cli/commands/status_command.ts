/**
 * `fibrpc status`: its options.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import type { Environment } from "../environment.ts";
import { managementApi } from "../../ops/management.ts";
import {
  addBrokerOptions,
  connectOptions,
  given,
  warnOfPasswordIn,
} from "../options/connect_options.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { collect, duration, oneOf, wholeNumber } from "../options/values.ts";
import { status, STATUS_FORMATS, workerStatus } from "./status.ts";

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_WATCH_MS = 2_000;

/**
 * Gives `command` its options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 */
export function defineStatus(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
): void {
  const limit = wholeNumber(0, Number.MAX_SAFE_INTEGER);
  addBrokerOptions(command)
    .option(
      "--queue <name>",
      `request queue; repeat it for more (default: ${DEFAULT_QUEUE})`,
      collect,
    )
    .option("--min-consumers <count>", "fewer: exit code 5 (default: 1)", limit)
    .option("--max-waiting <count>", "more requests that wait: exit code 1", limit)
    .option("--max-suspects <count>", "more records of redelivered requests: exit code 1", limit)
    .option("--management <url>", "ask the management API too, which knows more")
    .option("--watch [time]", "look again and again (default: every 2s)", (text) => duration(text))
    .option("--timeout <time>", "for one look (default: 5s)", duration)
    .option("--worker <url>", "ask a server that was started with --http instead of the broker")
    .option(
      "--output <format>",
      `${STATUS_FORMATS.join(", ")} (default: text)`,
      oneOf(...STATUS_FORMATS),
    )
    .option(...logLevelOption("error"))
    .option(...LOG_FORMAT_OPTION)
    .option("--quiet", "tell by the exit code only")
    .action(async (options) => {
      configureLogging(environment, options, "error");
      const { worker, watch, output = "text", quiet = false } = options;
      const { timeout: timeoutMs = DEFAULT_TIMEOUT_MS } = options;
      if (worker !== undefined) {
        exit(await workerStatus(environment, worker, { timeoutMs, quiet }));
        return;
      }
      const { queue, minConsumers = 1, management } = options;
      if (management !== undefined) {
        warnOfPasswordIn(management, "--management");
        managementApi(management, { username: "", password: "" }); // Or it would be seen late.
      }
      const { maxWaiting = Infinity, maxSuspects = Infinity } = options;
      const { queue: named, ...connect } = await connectOptions(
        environment,
        { ...options, queue: undefined },
        "status",
      );
      const queues = queue ?? (named === undefined ? undefined : [named]);
      const watchMs = watch === true ? DEFAULT_WATCH_MS : watch;
      exit(
        await status(environment, {
          ...connect,
          ...given({ queues, watchMs, management }),
          ...{ minConsumers, maxWaiting, maxSuspects, output, quiet, timeoutMs },
        }),
      );
    });
}
