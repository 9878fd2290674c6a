/**
 * `fibrpc call <n...>`.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import type { CallOptions } from "../../rpc/client/call_options.ts";
import { checkArgument } from "../../services/fibonacci/argument.ts";
import { FibonacciClient, type FibonacciClientOptions } from "../../services/fibonacci/client.ts";
import { messageOf, quote } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { readLines } from "../io/lines.ts";
import { type NumberFormat, numberFormat, type NumberOutcome } from "../io/number_format.ts";
import { startTracing, traceHeaders } from "../tracing.ts";
import { callAll, type CallInputs, type CallSettings, timed } from "./call.ts";

/** The argument that stands for the lines of standard input. */
const STDIN = "-";

/** `1..100`, or `0..1000..50` with a step. */
const RANGE = /^(\d+)\.\.(\d+)(?:\.\.(\d+))?$/;

/** How many numbers of a range are made at once. */
const RANGE_BATCH = 1_000;

export interface CallNumbersOptions extends FibonacciClientOptions, CallSettings {
  readonly output: NumberFormat;
}

/**
 * Calls for each number and prints the results in the order asked.
 *
 * @param words Decimal numbers, ranges of them, and at most one `-`.
 * @returns The exit code.
 * @throws {RpcError} `invalid_argument`, before anything is sent, if one of `words` is none of these.
 */
export async function callNumbers(
  environment: Environment,
  words: readonly string[],
  { output, quiet, inFlight, ...options }: CallNumbersOptions,
): Promise<number> {
  const inputs = new NumberInputs(environment, words);
  const tracing = await startTracing(environment);
  const client = new FibonacciClient({ ...options, interceptors: tracing.calls });
  const headers = traceHeaders(environment);
  const common: CallOptions = headers === undefined ? {} : { headers };
  const exitCode = await callAll<Numeral, NumberOutcome>(environment, {
    client,
    inputs,
    format: numberFormat(output),
    async call({ text, line }, refusal) {
      let digits: string;
      try {
        digits = checkArgument(text);
      } catch (error) {
        return { text, line, ms: 0, error: RpcError.from(error), refusedHere: true };
      }
      let requestId: string | undefined;
      // Of many calls, only those that print it pay for it.
      const callOptions = output === "json"
        ? { ...common, observer: { requestSent: (id: string) => requestId = id } }
        : common;
      const { result, ...ended } = await timed(() => {
        if (refusal !== undefined) throw refusal;
        return client.call(digits, callOptions);
      }, "fibrpc serve");
      return { text, line, requestId, ...ended, ...(result !== undefined && { value: result }) };
    },
  }, { quiet, ...(inFlight !== undefined && { inFlight }) });
  await tracing.end();
  return exitCode;
}

interface Numeral {
  readonly text: string;
  /** The line of standard input that holds it. */
  readonly line?: number;
}

interface Range {
  readonly first: bigint;
  readonly last: bigint;
  readonly step: bigint;
}

/** The numbers that are asked for. */
class NumberInputs implements CallInputs<Numeral> {
  readonly total: number | undefined;
  failure: string | undefined;
  readonly #environment: Environment;
  readonly #parts: readonly (string | Range)[];

  constructor(environment: Environment, words: readonly string[]) {
    this.#environment = environment;
    if (words.filter((word) => word === STDIN).length > 1) {
      throw new RpcError("invalid_argument", `"${STDIN}" can be given only once`);
    }
    this.#parts = words.map(parse);
    this.total = words.includes(STDIN)
      ? undefined
      : this.#parts.reduce((sum, part) => sum + (typeof part === "string" ? 1 : sizeOf(part)), 0);
  }

  async *batches(): AsyncGenerator<readonly Numeral[]> {
    let numerals: Numeral[] = [];
    for (const part of this.#parts) {
      if (typeof part === "string" && part !== STDIN) {
        numerals.push({ text: part });
        continue;
      }
      yield numerals;
      numerals = [];
      if (typeof part === "string") yield* this.#lines();
      else yield* numbersOf(part);
    }
    yield numerals;
  }

  async *#lines(): AsyncGenerator<readonly Numeral[]> {
    try {
      for await (const lines of readLines(this.#environment.stdin)) {
        yield lines.map(({ number, text }) => ({ text, line: number }));
      }
    } catch (error) {
      this.failure = `can't read standard input: ${messageOf(error)}`;
    }
  }
}

function parse(word: string): string | Range {
  const range = RANGE.exec(word);
  if (range === null) {
    if (word !== STDIN) checkArgument(word);
    return word;
  }
  const [first, last, step] = [range[1]!, range[2]!, range[3] ?? "1"].map(BigInt) as [
    bigint,
    bigint,
    bigint,
  ];
  const refuse = (why: string) => new RpcError("invalid_argument", `${quote(word)} ${why}`);
  if (last < first) throw refuse("is a range that ends before it begins");
  if (step === 0n) throw refuse("is a range whose step is 0");
  return { first, last, step };
}

function sizeOf({ first, last, step }: Range): number {
  return Number((last - first) / step) + 1;
}

function* numbersOf({ first, last, step }: Range): Generator<readonly Numeral[]> {
  for (let n = first; n <= last;) {
    const batch: Numeral[] = [];
    for (; n <= last && batch.length < RANGE_BATCH; n += step) batch.push({ text: String(n) });
    yield batch;
  }
}
