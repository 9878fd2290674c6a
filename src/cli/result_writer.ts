/**
 * How `fibrpc call` prints: results to stdout, failures to stderr or, as
 * JSON, to stdout too.
 *
 * @module
 */
import { once } from "node:events";
import type { Writable } from "node:stream";
import type { RpcError } from "../errors.ts";
import type { Environment } from "./environment.ts";

/** `text`: a value per line. `json`: an object per line, also for a failure. */
export type OutputFormat = "text" | "json";

/** Every {@linkcode OutputFormat}. */
export const OUTPUT_FORMATS: readonly OutputFormat[] = ["text", "json"];

/** How one call ended. */
export interface CallOutcome {
  /** The number as it was given. */
  readonly text: string;
  /** From submission to result, in milliseconds. */
  readonly ms: number;
  /** The result, in decimal. */
  readonly value?: string;
  /** Or what went wrong. */
  readonly error?: RpcError;
  /** Whether the number was refused before it was sent. */
  readonly refusedHere?: boolean;
}

/**
 * So many bytes are written without stdout's stream: opening it takes 2 ms of
 * a one-shot call's 20. An empty pipe holds as many; more could stop the
 * process, heartbeats and all, while the reader is slow (as these few could in
 * a pipe that others have filled).
 */
const MAX_UNSTREAMED_BYTES = 4_096;

const utf8 = new TextEncoder();

/** Prints outcomes; what one turn of the event loop prints is written as one. */
export class ResultWriter {
  /** Resolves when nothing more can be printed. */
  readonly closed: Promise<void>;
  readonly #close: () => void;
  #error: { readonly code?: string; readonly message: string } | undefined;
  readonly #environment: Environment;
  readonly #format: OutputFormat;
  readonly #quiet: boolean;
  /** One failure of the connection fails many calls: it is told once. */
  readonly #told = new WeakSet<RpcError>();
  #buffer: string[] = [];
  #unstreamed = 0;
  #stream: Writable | undefined;
  #written: Promise<void> = Promise.resolve();

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

  /** Prints one outcome. */
  write(outcome: CallOutcome): void {
    const { value, error } = outcome;
    if (this.#format === "json") this.#print(toJson(outcome));
    else if (value !== undefined) this.#print(value);
    if (error !== undefined && this.#format === "text") this.#tell(error);
  }

  /** Resolves when stdout takes more; `undefined` if it does now. */
  ready(): Promise<void> | undefined {
    if (!this.#stream?.writableNeedDrain) return undefined;
    return Promise.race([this.closed, once(this.#stream, "drain").then(() => {})]);
  }

  /** Resolves when all that was printed was handed to the system. */
  async flush(): Promise<void> {
    this.#writeOut();
    await Promise.race([this.closed, this.#written]);
  }

  #print(line: string): void {
    if (this.#buffer.length === 0) queueMicrotask(() => this.#writeOut());
    this.#buffer.push(line);
  }

  #writeOut(): void {
    if (this.#buffer.length === 0) return;
    const bytes = utf8.encode(`${this.#buffer.join("\n")}\n`);
    this.#buffer = [];
    const rest = bytes.subarray(this.#writeUnstreamed(bytes));
    if (rest.length === 0) return;
    this.#written = new Promise((resolve) => {
      const done = (error?: Error | null) => {
        if (error) this.#fail(error);
        resolve();
      };
      try {
        this.#openStream().write(rest, done);
      } catch (error) {
        done(error as Error); // Where stdout is a file, Deno throws.
      }
    });
  }

  /** @returns How many bytes need no stream any more. */
  #writeUnstreamed(bytes: Uint8Array): number {
    this.#unstreamed += bytes.length;
    const { writeStdout } = this.#environment;
    if (writeStdout === undefined || this.#unstreamed > MAX_UNSTREAMED_BYTES) return 0;
    try {
      return writeStdout(bytes);
    } catch {
      return 0; // Full, or closed: the stream waits, or has the error.
    }
  }

  #openStream(): Writable {
    this.#unstreamed = Infinity; // What comes later comes after what it has.
    if (this.#stream === undefined) {
      this.#stream = this.#environment.stdout;
      this.#stream.on("error", (error) => this.#fail(error));
    }
    return this.#stream;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#close();
  }

  #tell(error: RpcError): void {
    if (this.#quiet || this.#told.has(error)) return;
    this.#told.add(error);
    this.#environment.stderr.write(`fibrpc: ${error.code}: ${error.message}\n`);
  }
}

function toJson({ text, value, error, ms }: CallOutcome): string {
  const trimmed = text.trim();
  // A number literal with all its digits, where it is one: JSON sets no limit.
  const digits = /^\d+$/.test(trimmed) ? trimmed.replace(/^0+(?=\d)/, "") : JSON.stringify(text);
  const result = error === undefined
    ? `"value":"${value}"`
    : `"error":${JSON.stringify({ code: error.code, message: error.message })}`;
  return `{"n":${digits},${result},"ms":${Number(ms.toFixed(3))}}`;
}
