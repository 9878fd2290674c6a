/**
 * `fibrpc call`.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { checkArgument } from "../fibonacci/argument.ts";
import { FibonacciClient } from "../fibonacci/client.ts";
import type { RpcClientOptions } from "../rpc/client_options.ts";
import type { EndSignal, Environment } from "./environment.ts";
import { EXIT_BY_ERROR, EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { inOrder } from "./in_order.ts";
import { readLines } from "./lines.ts";
import { type CallOutcome, type OutputFormat, ResultWriter } from "./result_writer.ts";

/** The argument that stands for the lines of standard input. */
const STDIN = "-";

/** How many calls are under way at once. */
const MAX_IN_FLIGHT = 256;

/** What the command line says besides the client's options. */
export interface CallCommandOptions extends RpcClientOptions {
  /** How results are printed. */
  readonly output: OutputFormat;
  /** Whether failures are not told on stderr. */
  readonly quiet: boolean;
}

/**
 * Calls for each number and prints the results in the order asked.
 *
 * @param numbers Decimal numbers, and at most one `-`.
 * @returns The exit code.
 * @throws {RpcError} `invalid_argument`, before anything is sent, if one of `numbers` is none.
 */
export async function call(
  environment: Environment,
  numbers: readonly string[],
  { output, quiet, ...options }: CallCommandOptions,
): Promise<number> {
  for (const text of numbers) if (text !== STDIN) checkArgument(text);
  if (numbers.filter((text) => text === STDIN).length > 1) {
    throw new RpcError("invalid_argument", `"${STDIN}" can be given only once`);
  }
  const writer = new ResultWriter(environment, output, quiet);
  const client = new FibonacciClient(options);
  const giveUp = new AbortController();
  let signalled: EndSignal | undefined;
  environment.onSignal((signal) => {
    if (signalled !== undefined) environment.exit(EXIT_BY_SIGNAL[signal]);
    signalled = signal;
    giveUp.abort();
  });
  writer.closed.then(() => giveUp.abort());

  let exitCode = EXIT_OK;
  await inOrder<string, CallOutcome>({
    inputs: batches(environment, numbers),
    maxInFlight: MAX_IN_FLIGHT,
    signal: giveUp.signal,
    ready: () => writer.ready(),
    run: (text) => callOne(client, text),
    emit(outcome) {
      if (giveUp.signal.aborted) return; // The rest is cut off, not failed.
      writer.write(outcome);
      if (exitCode === EXIT_OK) exitCode = exitCodeOf(outcome);
    },
  });
  await Promise.all([client.close(), writer.flush()]);
  if (signalled !== undefined) return EXIT_BY_SIGNAL[signalled];
  if (writer.failure === undefined) return exitCode;
  if (!quiet) environment.stderr.write(`fibrpc: can't write the results: ${writer.failure}\n`);
  return EXIT_FAILURE;
}

async function callOne(
  client: FibonacciClient,
  text: string,
): Promise<CallOutcome> {
  const start = performance.now();
  const ms = () => performance.now() - start;
  let digits: string;
  try {
    digits = checkArgument(text);
  } catch (error) {
    return { text, error: RpcError.from(error), ms: ms(), refusedHere: true };
  }
  try {
    return { text, value: await client.call(digits), ms: ms() };
  } catch (error) {
    return { text, error: RpcError.from(error), ms: ms() };
  }
}

function exitCodeOf({ error, refusedHere }: CallOutcome): number {
  if (error === undefined) return EXIT_OK;
  return refusedHere ? EXIT_USAGE : EXIT_BY_ERROR[error.code];
}

async function* batches(
  environment: Environment,
  numbers: readonly string[],
): AsyncGenerator<readonly string[]> {
  const split = numbers.indexOf(STDIN);
  if (split === -1) {
    yield numbers;
    return;
  }
  yield numbers.slice(0, split);
  try {
    for await (const lines of readLines(environment.stdin)) yield lines;
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new RpcError("invalid_argument", `can't read standard input: ${reason}`);
  }
  yield numbers.slice(split + 1);
}
