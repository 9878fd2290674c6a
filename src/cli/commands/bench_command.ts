/**
 * `fibrpc bench`: its arguments and options.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { RpcError } from "../../errors.ts";
import { type Condition, parseCondition } from "../../ops/bench/condition.ts";
import type { Extent, Pace } from "../../ops/bench/load.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, DEFAULT_QUEUE } from "../../protocol/names.ts";
import { checkArgument } from "../../services/fibonacci/argument.ts";
import { fibonacci } from "../../services/fibonacci/service.ts";
import type { Environment } from "../environment.ts";
import { bodyInputs } from "../io/body_inputs.ts";
import {
  addConnectOptions,
  connectOptions,
  fromEnvironment,
  given,
  HEARTBEAT_OPTION,
} from "../options/connect_options.ts";
import { configureLogging, LOG_FORMAT_OPTION, logLevelOption } from "../options/logging.ts";
import { parseHeader } from "../options/header.ts";
import { collect, duration, oneOf, wholeNumber } from "../options/values.ts";
import { bench, BENCH_FORMATS } from "./bench.ts";

const DEFAULT_N = "30";
const DEFAULT_FOR_MS = 10_000;
const DEFAULT_WARM_UP_MS = 2_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_IN_FLIGHT = 256;

/** All bodies are kept: they are called with in turn. */
const MAX_INPUT_BYTES = 64 * 2 ** 20;

/** How many calls an open load has in flight at most: so many small ones took 140 MB. */
const OPEN_IN_FLIGHT = 100_000;

/**
 * Gives `command` its arguments and options, and what to do with them.
 *
 * @param exit Is called with the exit code.
 */
export function defineBench(
  command: Command,
  environment: Environment,
  exit: (code: number) => void,
): void {
  addConnectOptions(command)
    .argument("[n]", `what to ask a Fibonacci server for (default: ${DEFAULT_N})`)
    .option("--body <text|@file|->", "call any service with a body; repeat it for more", collect)
    .option("--lines <@file|->", "call any service with the lines of a file or of stdin, in turn")
    .option("--header <name: value>", "header of the requests; repeat it for more", collect)
    .option("--content-type <type>", "of the bodies (default: application/octet-stream)")
    .option("--for <time>", "how long to measure (default: 10s)", duration)
    .option("--calls <count>", "how many calls to measure instead", wholeNumber(1, 1e9))
    .option("--warm-up <time>", "calls before those that are measured (default: 2s)", warmUp)
    .option(
      "--in-flight <count>",
      "calls at once: the next is made when one ends (default: 256)",
      wholeNumber(1, 1_000_000),
    )
    .option("--rate <count>", "calls a second instead, whether or not others have ended", rate)
    .option("--step <rates>", "several rates, one after the other: 1000,2000,5000", rates)
    .option("--connections <count>", "connections to the broker (default: 1)", wholeNumber(1, 1000))
    .option("--own-server", "call an echo server of this process on a queue of its own")
    .option(
      "--fail-if <condition>",
      "exit with 1 if it holds, such as p99>50ms, errors>1%, rate<5000; repeat it for more " +
        "(default: errors>0)",
      condition,
    )
    .option("--timeout <time>", "for each call (default: 30s)", duration)
    .option("--connect-timeout <time>", "for the connections (default: 5s)", duration)
    .option(
      "--reply <path>",
      "how replies come back: direct, queue (default: direct)",
      oneOf("direct", "queue"),
    )
    .option(
      "--output <format>",
      `${BENCH_FORMATS.join(", ")} (default: text)`,
      oneOf(...BENCH_FORMATS),
    )
    .option("--html <file>", "write a report with curves, too")
    .option(...HEARTBEAT_OPTION)
    .option(...logLevelOption("error"))
    .option(...LOG_FORMAT_OPTION)
    .option("--quiet", "no line each second")
    .action(async (n, options) => {
      configureLogging(environment, options, "error");
      const { body, lines, rate, step, inFlight, calls } = options;
      exclude({ n, "--body": body, "--lines": lines });
      exclude({ "--rate": rate, "--step": step });
      exclude({ "--for": options.for, "--calls": calls });
      const connect = await connectOptions(environment, options, "bench");
      const isBodies = body !== undefined || lines !== undefined;
      const { ownServer = false } = options;
      if (isBodies && connect.queue === undefined && !ownServer) {
        throw refuse("--body and --lines need --queue: rpc_queue is Fibonacci's");
      }
      const { bodies, input } = isBodies
        ? await readBodies(environment, options, connect.maxMessageBytes)
        : number(n ?? DEFAULT_N);
      const timeoutMs = options.timeout ??
        fromEnvironment(environment, "FIBRPC_TIMEOUT", duration) ?? DEFAULT_TIMEOUT_MS;
      const extent: Extent = calls === undefined
        ? { forMs: options.for ?? DEFAULT_FOR_MS }
        : { calls };
      const { warmUp: warmUpMs = DEFAULT_WARM_UP_MS, connections = 1 } = options;
      const { connectTimeout: connectTimeoutMs, reply } = options;
      exit(
        await bench(environment, {
          ...connect,
          ...given({ connectTimeoutMs, reply, html: options.html }),
          queue: connect.queue ?? DEFAULT_QUEUE,
          bodies,
          input,
          decode: isBodies || ownServer ? () => {} : fibonacci().output.decode,
          contentType: options.contentType ??
            (isBodies ? "application/octet-stream" : "text/plain"),
          headers: Object.fromEntries((options.header ?? []).map(parseHeader)),
          paces: pacesOf(step ?? (rate === undefined ? [] : [rate]), inFlight),
          extent,
          warmUpMs,
          connections,
          ownServer,
          failIf: options.failIf ?? [condition("errors>0", undefined)[0]!],
          output: options.output ?? "text",
          quiet: options.quiet ?? false,
          timeoutMs,
        }),
      );
    });
}

function pacesOf(rates: readonly number[], inFlight: number | undefined): Pace[] {
  if (rates.length === 0) return [{ model: "closed", inFlight: inFlight ?? DEFAULT_IN_FLIGHT }];
  return rates.map((rate) => ({ model: "open", rate, inFlight: inFlight ?? OPEN_IN_FLIGHT }));
}

interface Input {
  readonly bodies: readonly Uint8Array[];
  readonly input: string;
}

function number(n: string): Input {
  const digits = checkArgument(n);
  return { bodies: [new TextEncoder().encode(digits)], input: `fib(${digits})` };
}

async function readBodies(
  environment: Environment,
  sources: { readonly body?: readonly string[]; readonly lines?: string },
  maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES,
): Promise<Input> {
  const inputs = await bodyInputs(environment, sources, maxMessageBytes);
  const bodies: Uint8Array[] = [];
  let size = 0;
  for await (const batch of inputs.batches()) {
    for (const { body } of batch) {
      size += body.length;
      if (size > MAX_INPUT_BYTES) throw refuse(`${inputs.name} has over ${MAX_INPUT_BYTES} bytes`);
      bodies.push(body.slice()); // Its buffer is used again.
    }
  }
  if (inputs.failure !== undefined) throw refuse(inputs.failure);
  if (bodies.length === 0) throw refuse(`${inputs.name} has no line to call with`);
  const sizes = bodies.map(({ length }) => length);
  const [least, most] = sizes.reduce(
    ([least, most], size) => [Math.min(least, size), Math.max(most, size)],
    [Infinity, 0],
  );
  const each = least === most ? `${most}` : `${least} to ${most}`;
  const what = bodies.length === 1 ? "a body" : `${bodies.length} bodies`;
  return { bodies, input: `${what} of ${each} bytes` };
}

/** Refuses what excludes each other. */
function exclude(options: Readonly<Record<string, unknown>>): void {
  const [one, other] = Object.keys(options).filter((name) => options[name] !== undefined);
  if (other !== undefined) throw refuse(`${one} and ${other} exclude each other`);
}

function warmUp(text: string): number {
  return text === "0" ? 0 : duration(text);
}

const rate = wholeNumber(1, 10_000_000);

function rates(text: string): number[] {
  return text.split(",").map(rate);
}

function condition(text: string, before: Condition[] | undefined): Condition[] {
  return [...before ?? [], parseCondition(text, duration)];
}

function refuse(why: string): RpcError {
  return new RpcError("invalid_argument", why);
}
