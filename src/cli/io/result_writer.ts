/**
 * How `fibrpc call` prints: results to stdout, failures to stderr or, as
 * JSON, to stdout too; each as fast as it is read.
 *
 * @module
 */
import { concat } from "../../bytes.ts";
import type { RpcError, RpcErrorCode } from "../../errors.ts";
import type { Environment } from "../environment.ts";
import { report } from "../report.ts";

/** How a call ended, as far as it matters to all kinds of calls. */
export interface CallOutcome {
  /** The line that it is from. */
  readonly line?: number | undefined;
  /** From submission to result, in milliseconds. */
  readonly ms: number;
  readonly error?: RpcError;
  /** The request's correlation id, if it was sent. */
  readonly requestId?: string | undefined;
  /** Whether the input was refused before it was sent. */
  readonly refusedHere?: boolean;
}

/** How outcomes are printed. */
export interface ResultFormat<Outcome> {
  /** What goes to standard output; `undefined` for nothing. */
  readonly print: (outcome: Outcome) => string | Uint8Array | undefined;
  /** Whether failures go there too, and not to standard error. */
  readonly printsFailures: boolean;
  /** What the lines are of. */
  readonly linesOf: string;
}

/** Codes of failures that have nothing to do with the input. */
const OF_EVERY_INPUT: ReadonlySet<RpcErrorCode> = new Set([
  "no_server",
  "permission_denied",
  "unauthenticated",
  "unavailable",
]);

/** How many characters or bytes wait to be written before no more are taken: a pipe holds as much. */
const MAX_WAITING = 65_536;

const utf8 = new TextEncoder();

/** Prints outcomes; those that come while others are written are written as one. */
export class ResultWriter<Outcome extends CallOutcome> {
  /** Resolves when nothing more can be printed. */
  readonly closed: Promise<void>;
  readonly #close: () => void;
  #error: { readonly code?: string; readonly message: string } | undefined;
  readonly #environment: Environment;
  readonly #format: ResultFormat<Outcome>;
  readonly #quiet: boolean;
  /** The latest failure that was reported of all numbers: one refusal fails many calls. */
  #reported: string | undefined;
  /** How many calls found no server: the first one is reported, the others are counted. */
  #noServer = 0;
  readonly #results: (string | Uint8Array)[] = [];
  /** How many characters or bytes are in `#results` and on their way. */
  #waiting = 0;
  #writing: Promise<void> | undefined;

  /** Prints to the environment's streams. */
  constructor(environment: Environment, format: ResultFormat<Outcome>, quiet: boolean) {
    this.#environment = environment;
    this.#format = format;
    this.#quiet = quiet;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#close = resolve;
  }

  /** Why results were lost, if so. */
  get failure(): string | undefined {
    // EPIPE, as after `| head -1`: the reader has what it wanted.
    return this.#error?.code === "EPIPE" ? undefined : this.#error?.message;
  }

  write(outcome: Outcome): void {
    const { print, printsFailures } = this.#format;
    const result = print(outcome);
    if (result !== undefined) this.#print(result);
    if (outcome.error !== undefined && !printsFailures) this.#report(outcome, outcome.error);
  }

  /** Resolves when more can be printed; `undefined` if it can now. */
  ready(): Promise<void> | undefined {
    return this.#waiting < MAX_WAITING ? undefined : this.#writing;
  }

  /** Resolves when all that was printed was handed to the system, or can't be; nothing comes after it. */
  async end(): Promise<void> {
    const others = this.#noServer - 1;
    if (others > 0) {
      report(
        this.#environment,
        `no_server: ${others} other call${others > 1 ? "s" : ""} failed likewise`,
      );
    }
    await this.#writing;
  }

  #print(result: string | Uint8Array): void {
    if (this.#error !== undefined) return;
    this.#results.push(result);
    this.#waiting += result.length;
    this.#writing ??= this.#writeOut();
  }

  async #writeOut(): Promise<void> {
    try {
      await undefined; // What is printed at once is written at once.
      while (this.#results.length > 0) {
        const results = this.#results.splice(0);
        await this.#environment.writeStdout(bytesOf(results));
        for (const { length } of results) this.#waiting -= length;
      }
    } catch (error) {
      this.#waiting = 0;
      this.#fail(error as Error);
    } finally {
      this.#writing = undefined;
    }
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#close();
  }

  #report({ line }: Outcome, error: RpcError): void {
    if (this.#quiet) return;
    const { code, message, remote } = error;
    const isOfAll = !remote && OF_EVERY_INPUT.has(code);
    if (isOfAll) {
      if (code === "no_server" && ++this.#noServer > 1) return;
      if (message === this.#reported) return;
      this.#reported = message;
    }
    const where = line === undefined || isOfAll ? "" : `line ${line} of ${this.#format.linesOf}: `;
    report(this.#environment, `${code}: ${where}${message}`);
  }
}

function bytesOf(results: readonly (string | Uint8Array)[]): Uint8Array {
  if (results.every((result) => typeof result === "string")) return utf8.encode(results.join(""));
  const parts = results.map((result) => typeof result === "string" ? utf8.encode(result) : result);
  return parts.length === 1 ? parts[0]! : concat(parts);
}
