/**
 * `fibrpc call`: its arguments and options, and what they mean to the client.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { letAttemptsLinger } from "../../amqp/socket/open.ts";
import { RpcError } from "../../errors.ts";
import { quote } from "../../text.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../protocol/names.ts";
import { callBodies } from "./call_bodies.ts";
import { callNumbers } from "./call_numbers.ts";
import {
  addConnectOptions,
  connectOptions,
  fromEnvironment,
  given,
  HEARTBEAT_OPTION,
} from "../options/connect_options.ts";
import type { Environment } from "../environment.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { BODY_FORMATS } from "../io/body_format.ts";
import { bodyInputs } from "../io/body_inputs.ts";
import { NUMBER_FORMATS } from "../io/number_format.ts";
import { parseHeader } from "../options/header.ts";
import { collect, duration, oneOf, wholeNumber } from "../options/values.ts";

/** What is run in the end; tests give something else. */
const RUN = { numbers: callNumbers, bodies: callBodies };

/** What says that bodies are sent, and not numbers. */
const BODY_OPTIONS = ["header", "contentType", "idempotent"] as const;

/**
 * Gives `command` its arguments and options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 */
export function defineCall(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
  _words?: readonly string[],
  run: typeof RUN = RUN,
): void {
  addConnectOptions(command)
    .argument(
      "[n...]",
      'non-negative integers, or ranges such as 1..100; "-" reads them from stdin, one per line',
    )
    .option("--body <text|@file|->", "call any service with a body; repeat it for more", collect)
    .option("--lines <@file|->", "call any service with each line of a file or of stdin")
    .option("--header <name: value>", "header of the requests; repeat it for more", collect)
    .option("--content-type <type>", "of the bodies (default: application/octet-stream)")
    .option("--idempotent", "requests with bodies may be sent again when they seem lost")
    .option("--in-flight <count>", "calls at once (default: 256)", wholeNumber(1, 100_000))
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
      "how results are printed: text, json; raw for one body, and its default (default: text)",
      oneOf(...BODY_FORMATS),
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
      const { connectTimeout: connectTimeoutMs, reply, requireServer, inFlight } = options;
      const { body, lines, output, quiet = false } = options;
      const isBodies = body !== undefined || lines !== undefined;
      if (isBodies) checkBodies(numbers, body, lines, output);
      else checkNumbers(numbers, options, output);
      const connect = await connectOptions(environment, options, "call");
      const common = {
        ...connect,
        ...given({ timeoutMs, connectTimeoutMs, reply, requireServer, inFlight }),
        quiet,
      };
      if (!isBodies) {
        const format = oneOf(...NUMBER_FORMATS)(output ?? "text");
        exit(await run.numbers(environment, numbers, { ...common, output: format }));
        return;
      }
      if (connect.queue === undefined) {
        throw refuse("--body and --lines need --queue: rpc_queue is Fibonacci's");
      }
      const { maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = connect;
      const isOne = body?.length === 1;
      exit(
        await run.bodies(environment, await bodyInputs(environment, options, maxMessageBytes), {
          ...common,
          queue: connect.queue,
          contentType: options.contentType ?? "application/octet-stream",
          headers: Object.fromEntries((options.header ?? []).map(parseHeader)),
          idempotent: options.idempotent ?? false,
          output: output ?? (isOne ? "raw" : "text"),
        }),
      );
    });
}

function checkBodies(
  numbers: readonly string[],
  body: readonly string[] | undefined,
  lines: string | undefined,
  output: string | undefined,
): void {
  if (numbers.length > 0) {
    throw refuse(`${quote(numbers[0]!)} is one argument too many beside bodies`);
  }
  if (body !== undefined && lines !== undefined) {
    throw refuse("--body and --lines exclude each other");
  }
  if (output === "raw" && body?.length !== 1) throw refuse("--output raw is for a single body");
}

function checkNumbers(
  numbers: readonly string[],
  options: { [Name in typeof BODY_OPTIONS[number]]?: unknown },
  output: string | undefined,
): void {
  if (numbers.length === 0) {
    throw refuse("there is nothing to call with: numbers, --body or --lines");
  }
  for (const name of BODY_OPTIONS) {
    if (options[name] === undefined) continue;
    const option = name === "contentType" ? "--content-type" : `--${name}`;
    throw refuse(`${option} is for calls with --body or --lines`);
  }
  if (output === "raw") throw refuse("--output raw is for calls with --body");
}

function refuse(why: string): RpcError {
  return new RpcError("invalid_argument", why);
}
