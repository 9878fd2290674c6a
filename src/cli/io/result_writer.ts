/**
 * How `fibrpc call` prints: results to stdout, failures to stderr or, as
 * JSON, to stdout too.
 *
 * @module
 */
import type { RpcError, RpcErrorCode } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { Environment } from "../environment.ts";
import { withOptionNames } from "../options/option_names.ts";
import { report } from "../report.ts";

/** `text`: a value per line. `json`: an object per line, also for a failure. */
export type OutputFormat = "text" | "json";

/** Every {@linkcode OutputFormat}. */
export const OUTPUT_FORMATS: readonly OutputFormat[] = ["text", "json"];

export interface CallOutcome {
  readonly text: string;
  /** The line of standard input that it is from. */
  readonly line?: number | undefined;
  /** From submission to result, in milliseconds. */
  readonly ms: number;
  readonly value?: string;
  readonly error?: RpcError;
  /** Whether the number was refused before it was sent. */
  readonly refusedHere?: boolean;
}

/** Codes of failures that have nothing to do with the number. */
const OF_EVERY_NUMBER: ReadonlySet<RpcErrorCode> = new Set([
  "no_server",
  "permission_denied",
  "unauthenticated",
  "unavailable",
]);

/** How many characters wait to be written before no more are taken: a pipe holds as many bytes. */
const MAX_WAITING = 65_536;

const utf8 = new TextEncoder();

/** Prints outcomes; those that come while others are written are written as one. */
export class ResultWriter {
  /** Resolves when nothing more can be printed. */
  readonly closed: Promise<void>;
  readonly #close: () => void;
  #error: { readonly code?: string; readonly message: string } | undefined;
  readonly #environment: Environment;
  readonly #format: OutputFormat;
  readonly #quiet: boolean;
  /** The latest failure that was reported of all numbers: one refusal fails many calls. */
  #reported: string | undefined;
  /** How many calls found no server: the first one is reported, the others are counted. */
  #noServer = 0;
  readonly #lines: string[] = [];
  /** How many characters are in `#lines` and on their way. */
  #waiting = 0;
  #writing: Promise<void> | undefined;

  /** Prints to the environment's streams. */
  constructor(environment: Environment, format: OutputFormat, quiet: boolean) {
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

  write(outcome: CallOutcome): void {
    const { value, error } = outcome;
    if (this.#format === "json") this.#print(toJson(outcome));
    else if (value !== undefined) this.#print(value);
    if (error !== undefined && this.#format === "text") this.#report(outcome, error);
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

  #print(line: string): void {
    if (this.#error !== undefined) return;
    this.#lines.push(line);
    this.#waiting += line.length + 1;
    this.#writing ??= this.#writeOut();
  }

  async #writeOut(): Promise<void> {
    try {
      await undefined; // What is printed at once is written at once.
      while (this.#lines.length > 0) {
        const text = `${this.#lines.splice(0).join("\n")}\n`;
        await this.#environment.writeStdout(utf8.encode(text));
        this.#waiting -= text.length;
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

  #report({ line }: CallOutcome, error: RpcError): void {
    if (this.#quiet) return;
    const { code, message, remote } = error;
    const isOfAll = !remote && OF_EVERY_NUMBER.has(code);
    if (isOfAll) {
      if (code === "no_server" && ++this.#noServer > 1) return;
      if (message === this.#reported) return;
      this.#reported = message;
    }
    const where = line === undefined || isOfAll ? "" : `line ${line} of standard input: `;
    report(this.#environment, `${code}: ${where}${message}`);
  }
}

function toJson({ text, line, value, error, ms }: CallOutcome): string {
  const trimmed = text.trim();
  // A number literal with all its digits, where it is one: JSON sets no limit.
  const digits = /^\d+$/.test(trimmed) ? trimmed.replace(/^0+(?=\d)/, "") : JSON.stringify(text);
  const result = error === undefined
    ? `"value":"${value}"`
    : `${line === undefined ? "" : `"line":${line},`}"error":${
      JSON.stringify({ code: error.code, message: withOptionNames(error.message) })
    }`;
  return printable(`{"n":${digits},${result},"ms":${Number(ms.toFixed(3))}}`);
}
