/**
 * `fibrpc bench`.
 *
 * @module
 */
import { access, constants, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { connectFailure } from "../../amqp/failure.ts";
import { RpcError } from "../../errors.ts";
import type { Pace } from "../../ops/bench/load.ts";
import { benchCsv, benchJson, CSV_HEAD } from "../../ops/bench/data.ts";
import { type BenchResult, reachedRate } from "../../ops/bench/result.ts";
import { benchText, STEP_HEAD, stepText } from "../../ops/bench/text.ts";
import { resolveConnectOptions } from "../../rpc/connect_options.ts";
import { messageOf, printable, quote } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, exitCodeOf } from "../exit_codes.ts";
import { print } from "../io/print.ts";
import { report } from "../report.ts";
import { onEndSignal } from "../signals.ts";
import { version } from "../version.ts";
import { BenchSession, type SessionOptions } from "./bench_session.ts";

export const BENCH_FORMATS = ["text", "json", "csv"] as const;

export interface BenchOptions extends SessionOptions {
  /** One run after the other, as long as they pass. */
  readonly paces: readonly Pace[];
  readonly output: typeof BENCH_FORMATS[number];
  /** The file for a report with curves. */
  readonly html?: string;
}

/**
 * Calls at a pace, and prints what that took.
 *
 * @returns The exit code: 1 if a condition failed.
 */
export async function bench(environment: Environment, options: BenchOptions): Promise<number> {
  const { quiet, paces } = options;
  const ending = new AbortController();
  let signalled: number | undefined;
  onEndSignal(environment, (signal) => {
    signalled = EXIT_BY_SIGNAL[signal];
    ending.abort(new Error(signal));
  });
  if (options.html !== undefined) await checkWritable(options.html);
  let failed = false;
  const results: BenchResult[] = [];
  try {
    await using session = await BenchSession.open(environment, options, ending.signal);
    const isTable = paces.length > 1;
    for (const [index, pace] of paces.entries()) {
      const result = await session.run(pace);
      if (result === undefined) break;
      results.push(result);
      failed = result.failed.length > 0 || isTable && !reachedRate(result);
      const end = await print(environment, format(result, options, index === 0, isTable));
      if (end !== undefined) return end;
      if (failed || ending.signal.aborted) break;
    }
    if (options.html !== undefined && results.length > 0) {
      const code = await writeReport(environment, options.html, results);
      if (code !== EXIT_OK) return code;
    }
  } catch (thrown) {
    if (signalled !== undefined) return signalled;
    const [broker] = resolveConnectOptions(options, "bench").brokers;
    const { error } = connectFailure(broker!, thrown);
    if (!quiet) report(environment, `${error.code}: ${error.message}`);
    return exitCodeOf(error);
  }
  return signalled ?? (failed ? EXIT_FAILURE : EXIT_OK);
}

/** Finds out before the calls, and not after them. */
async function checkWritable(file: string): Promise<void> {
  try {
    await access(dirname(resolve(file)), constants.W_OK);
  } catch (error) {
    const message = `can't write --html ${quote(file)}: ${messageOf(error)}`;
    throw new RpcError("invalid_argument", message);
  }
}

async function writeReport(
  environment: Environment,
  file: string,
  results: readonly BenchResult[],
): Promise<number> {
  const { htmlReport } = await import("../../ops/bench/html/report.ts");
  const about = `fibrpc ${version()}, ${new Date().toISOString()}`;
  try {
    await writeFile(file, htmlReport(results, about));
    return EXIT_OK;
  } catch (error) {
    report(environment, `can't write --html ${quote(file)}: ${messageOf(error)}`);
    return EXIT_FAILURE;
  }
}

function format(
  result: BenchResult,
  { output }: BenchOptions,
  isFirst: boolean,
  isTable: boolean,
): string {
  if (output === "json") return benchJson(result);
  if (output === "csv") return `${isFirst ? CSV_HEAD : ""}${benchCsv(result)}`;
  const text = isTable ? `${isFirst ? STEP_HEAD : ""}${stepText(result)}` : benchText(result);
  return text.split("\n").map(printable).join("\n");
}
