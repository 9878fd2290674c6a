/**
 * `fibrpc call`.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { checkArgument } from "../../services/fibonacci/argument.ts";
import { FibonacciClient, type FibonacciClientOptions } from "../../services/fibonacci/client.ts";
import type { EndSignal, Environment } from "../environment.ts";
import { EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, exitCodeOf } from "../exit_codes.ts";
import { inOrder } from "../io/in_order.ts";
import { readLines } from "../io/lines.ts";
import { report } from "../report.ts";
import { type CallOutcome, type OutputFormat, ResultWriter } from "../io/result_writer.ts";
import { onEndSignal } from "../signals.ts";
import { messageOf } from "../../text.ts";

/** The argument that stands for the lines of standard input. */
const STDIN = "-";

/** How many calls are under way at once. */
const MAX_IN_FLIGHT = 256;

export interface CallCommandOptions extends FibonacciClientOptions {
  readonly output: OutputFormat;
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
  onEndSignal(environment, (signal) => {
    signalled = signal;
    giveUp.abort();
  });
  writer.closed.then(() => giveUp.abort());

  const enough = new AbortController();
  let refusal: RpcError | undefined;
  let isAnswered = false;
  const run = async (number: Numeral): Promise<CallOutcome> => {
    const outcome = await callOne(client, number, refusal);
    const { error, refusedHere } = outcome;
    if (refusedHere) return outcome;
    if (error === undefined || !isFinal(error, client.state, isAnswered)) {
      isAnswered = true;
      return outcome;
    }
    enough.abort();
    if (error.code !== "no_server") refusal ??= error;
    return outcome;
  };
  let exitCode = EXIT_OK;
  const input = new Input(environment, numbers);
  await inOrder<Numeral, CallOutcome>({
    inputs: input.batches(),
    maxInFlight: MAX_IN_FLIGHT,
    signal: giveUp.signal,
    enough: enough.signal,
    ready: () => writer.ready(),
    run,
    emit(outcome) {
      if (giveUp.signal.aborted) return; // The rest is cut off, not failed.
      writer.write(outcome);
      if (exitCode === EXIT_OK) exitCode = exitCodeAfter(outcome);
    },
  });
  await Promise.all([client.close(), writer.end()]);
  if (signalled !== undefined) return EXIT_BY_SIGNAL[signalled];
  if (writer.failure !== undefined) {
    if (!quiet) report(environment, `can't write the results: ${writer.failure}`);
    return EXIT_FAILURE;
  }
  if (input.failure !== undefined) {
    if (!quiet) report(environment, `can't read standard input: ${input.failure}`);
    if (exitCode === EXIT_OK) return EXIT_USAGE;
  }
  return exitCode;
}

interface Numeral {
  readonly text: string;
  /** The line of standard input that holds it. */
  readonly line?: number;
}

/** The numbers that are asked for. */
class Input {
  /** Why the rest of standard input couldn't be read, if so. */
  failure: string | undefined;
  readonly #environment: Environment;
  readonly #numbers: readonly string[];

  constructor(environment: Environment, numbers: readonly string[]) {
    this.#environment = environment;
    this.#numbers = numbers;
  }

  /** They come as they are read. */
  async *batches(): AsyncGenerator<readonly Numeral[]> {
    const numerals = this.#numbers.map((text) => ({ text }));
    const split = this.#numbers.indexOf(STDIN);
    if (split === -1) {
      yield numerals;
      return;
    }
    yield numerals.slice(0, split);
    try {
      for await (const lines of readLines(this.#environment.stdin)) {
        yield lines.map(({ number, text }) => ({ text, line: number }));
      }
    } catch (error) {
      this.failure = messageOf(error);
    }
    yield numerals.slice(split + 1);
  }
}

/** @param refusal Why no call can succeed, if that is known: then none is made. */
async function callOne(
  client: FibonacciClient,
  { text, line }: Numeral,
  refusal: RpcError | undefined,
): Promise<CallOutcome> {
  const start = performance.now();
  const ended = () => ({ text, line, ms: performance.now() - start });
  let digits: string;
  try {
    digits = checkArgument(text);
  } catch (error) {
    return { ...ended(), error: RpcError.from(error), refusedHere: true };
  }
  try {
    if (refusal !== undefined) throw refusal;
    const value = await client.call(digits);
    return { ...ended(), value };
  } catch (error) {
    return { ...ended(), error: withHint(RpcError.from(error)) };
  }
}

/**
 * Whether all other calls would fail likewise, so that no more input is read:
 * the broker refuses the connection or, before anything was ever answered, can't
 * be reached or has no server.
 */
function isFinal(
  { code, remote }: RpcError,
  state: FibonacciClient["state"],
  isAnswered: boolean,
): boolean {
  if (remote) return false;
  if (code === "no_server") return !isAnswered;
  if (state === "connected" || state === "blocked") return false;
  return code === "unauthenticated" || code === "permission_denied" ||
    code === "unavailable" && !isAnswered;
}

/** Says what to do where that is something about this program. */
function withHint(error: RpcError): RpcError {
  if (error.code !== "no_server" || error.remote) return error;
  return new RpcError(error.code, `${error.message} (start a server with "fibrpc serve")`);
}

function exitCodeAfter({ error, refusedHere }: CallOutcome): number {
  if (error === undefined) return EXIT_OK;
  return refusedHere ? EXIT_USAGE : exitCodeOf(error);
}
