/**
 * `fibrpc call`: its arguments and options, and what they mean to the client.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { letAttemptsLinger } from "../../amqp/socket/open.ts";
import { call } from "./call.ts";
import {
  addConnectOptions,
  connectOptions,
  fromEnvironment,
  given,
  HEARTBEAT_OPTION,
} from "../options/connect_options.ts";
import type { Environment } from "../environment.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { OUTPUT_FORMATS } from "../io/result_writer.ts";
import { duration, oneOf } from "../options/values.ts";

/**
 * Gives `command` its arguments and options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 * @param run What they are made for.
 */
export function defineCall(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
  run: typeof call = call,
): void {
  addConnectOptions(command)
    .argument("<n...>", 'non-negative integers; "-" reads them from stdin, one per line')
    .option("--timeout <time>", "for each call, such as 5s, 500ms, 1m30s (default: 30s)", duration)
    .option("--connect-timeout <time>", "for the first connection (default: 5s)", duration)
    .option(
      "--reply <path>",
      "how replies come back: direct, queue (default: direct)",
      oneOf("direct", "queue"),
    )
    .option("--require-server", "fail at once when nobody consumes the queue")
    .option(
      "--output <format>",
      `how results are printed: ${OUTPUT_FORMATS.join(", ")} (default: text)`,
      oneOf(...OUTPUT_FORMATS),
    )
    .option(...HEARTBEAT_OPTION)
    .option(...logLevelOption("error"))
    .option(...LOG_FORMAT_OPTION)
    .option("--quiet", "tell failures by the exit code only")
    .action(async (numbers, options) => {
      letAttemptsLinger();
      configureLogging(environment, options, "error");
      const timeoutMs = options.timeout ??
        fromEnvironment(environment, "FIBRPC_TIMEOUT", duration);
      const { connectTimeout: connectTimeoutMs, reply, requireServer } = options;
      exit(
        await run(environment, numbers, {
          ...await connectOptions(environment, options, "call"),
          ...given({ timeoutMs, connectTimeoutMs, reply, requireServer }),
          output: options.output ?? "text",
          quiet: options.quiet ?? false,
        }),
      );
    });
}
