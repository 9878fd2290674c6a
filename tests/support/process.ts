/**
 * Running real programs: their output is collected as it comes, and every
 * wait has a bound whose failure says what was seen so far.
 *
 * @module
 */

/** Options of {@linkcode spawn}. */
export interface SpawnOptions {
  /** Environment variables on top of this process's own. */
  env?: Record<string, string>;
  /** Pass on none of this process's own environment. */
  clearEnv?: boolean;
  /** The working directory. */
  cwd?: string;
  /** Whether it leads a process group of its own. */
  detached?: boolean;
  /**
   * Whether {@linkcode Program.write} and {@linkcode Program.closeStdin} can
   * be used; otherwise the program reads an empty input.
   *
   * @default {"null"}
   */
  stdin?: "null" | "piped";
}

/** Options of {@linkcode run}. */
export interface RunOptions extends Omit<SpawnOptions, "stdin"> {
  /** The whole of what the program reads. */
  stdin?: string;
  /**
   * How long the program may take, in milliseconds; then it is killed.
   *
   * @default {60_000}
   */
  timeoutMs?: number;
}

/** How a program ended. */
export interface Exit {
  /** The exit code; 128 + its number after a signal. */
  code: number;
  /** The signal that ended it, if one did. */
  signal: Deno.Signal | null;
}

/** What a program did from start to end. */
export interface Outcome extends Exit {
  /** All it wrote to its standard output. */
  stdout: string;
  /** All it wrote to its standard error. */
  stderr: string;
}

const WAIT_MS = 30_000;

/** Starts a program. Dispose of the result: that kills it if it still runs. */
export function spawn(
  command: string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Program {
  return new Program(command, args, options);
}

/**
 * Runs a program to its end.
 *
 * @throws {Error} If it did not end within `timeoutMs`.
 */
export async function run(
  command: string,
  args: readonly string[] = [],
  { stdin, timeoutMs = 60_000, ...options }: RunOptions = {},
): Promise<Outcome> {
  await using program = spawn(command, args, {
    ...options,
    stdin: stdin === undefined ? "null" : "piped",
  });
  if (stdin !== undefined) {
    await program.write(stdin);
    await program.closeStdin();
  }
  const exit = await program.waitForExit(timeoutMs);
  return { ...exit, stdout: program.stdout, stderr: program.stderr };
}

/** A running program, made by {@linkcode spawn}. */
export class Program implements AsyncDisposable {
  /** Resolves when the program has ended and all of its output was read. */
  readonly status: Promise<Exit>;

  readonly #child: Deno.ChildProcess;
  readonly #title: string;
  readonly #stdout: Collected;
  readonly #stderr: Collected;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #exit: Exit | undefined;

  /** See {@linkcode spawn}. */
  constructor(
    command: string,
    args: readonly string[],
    { stdin = "null", ...options }: SpawnOptions,
  ) {
    this.#title = [command, ...args].join(" ");
    this.#child = new Deno.Command(command, {
      args: [...args],
      stdin,
      stdout: "piped",
      stderr: "piped",
      ...options,
    }).spawn();
    if (stdin === "piped") this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = new Collected(this.#child.stdout);
    this.#stderr = new Collected(this.#child.stderr);
    this.status = this.#end();
  }

  /** The id of the process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to its standard output so far. */
  get stdout(): string {
    return this.#stdout.text;
  }

  /** What it has written to its standard error so far. */
  get stderr(): string {
    return this.#stderr.text;
  }

  /** Whether it has ended, with all of its output read. */
  get ended(): boolean {
    return this.#exit !== undefined;
  }

  /**
   * Resolves when the standard output so far matches.
   *
   * @throws {Error} If it ended without a match, or `timeoutMs` passed.
   */
  waitForStdout(
    pattern: RegExp,
    timeoutMs = WAIT_MS,
  ): Promise<RegExpExecArray> {
    return this.#waitFor(this.#stdout, "stdout", pattern, timeoutMs);
  }

  /**
   * Resolves when the standard error so far matches.
   *
   * @throws {Error} If it ended without a match, or `timeoutMs` passed.
   */
  waitForStderr(
    pattern: RegExp,
    timeoutMs = WAIT_MS,
  ): Promise<RegExpExecArray> {
    return this.#waitFor(this.#stderr, "stderr", pattern, timeoutMs);
  }

  /**
   * Resolves when it has ended.
   *
   * @throws {Error} If `timeoutMs` passed first.
   */
  async waitForExit(timeoutMs = WAIT_MS): Promise<Exit> {
    const exit = await within(this.status, timeoutMs);
    if (exit === undefined) {
      throw this.#failure(`did not end within ${timeoutMs} ms`);
    }
    return exit;
  }

  /** Writes to its standard input; it need not read it. */
  async write(text: string): Promise<void> {
    try {
      await this.#stdin?.write(new TextEncoder().encode(text));
    } catch (error) {
      // A program may end without having read its input.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  /** Ends its standard input. */
  async closeStdin(): Promise<void> {
    try {
      await this.#stdin?.close();
    } catch {
      // Already closed, by us or by the program's end.
    }
  }

  /** Sends a signal; does nothing if it has ended. */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (this.#exit !== undefined) return;
      // It ended a moment ago, and `status` doesn't know yet.
      if (error instanceof TypeError || error instanceof Deno.errors.NotFound) {
        return;
      }
      throw error;
    }
  }

  /** Kills it if it still runs, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) this.kill("SIGKILL");
    await this.closeStdin();
    await this.status;
  }

  async #end(): Promise<Exit> {
    const { code, signal } = await this.#child.status;
    await Promise.all([this.#stdout.ended, this.#stderr.ended]);
    await this.closeStdin();
    return this.#exit = { code, signal };
  }

  async #waitFor(
    output: Collected,
    name: string,
    pattern: RegExp,
    timeoutMs: number,
  ): Promise<RegExpExecArray> {
    const search = new RegExp(pattern, pattern.flags.replace(/[gy]/g, ""));
    const match = await within(output.find(search), timeoutMs);
    if (match) return match;
    if (match === null) await this.status;
    const how = match === null ? "ended" : `was given ${timeoutMs} ms`;
    throw this.#failure(`${how} without ${pattern} on its ${name}`);
  }

  #failure(what: string): Error {
    const exit = this.#exit === undefined
      ? "it still runs"
      : `it ended with ${this.#exit.signal ?? `code ${this.#exit.code}`}`;
    return new Error(
      `"${this.#title}" (pid ${this.pid}) ${what}; ${exit}\n` +
        `stdout so far:\n${this.stdout}\nstderr so far:\n${this.stderr}`,
    );
  }
}

/** A stream's text, collected as it comes. */
class Collected {
  text = "";
  readonly ended: Promise<void>;
  #done = false;
  #news = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#collect(stream);
  }

  /** The first match, or `null` if the stream ended without one. */
  async find(pattern: RegExp): Promise<RegExpExecArray | null> {
    while (true) {
      const match = pattern.exec(this.text);
      if (match !== null || this.#done) return match;
      await this.#news.promise;
    }
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#add(decoder.decode(chunk, { stream: true }));
    }
    this.#done = true;
    this.#add(decoder.decode());
  }

  #add(text: string): void {
    this.text += text;
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** What `promise` resolves to, or `undefined` if that takes too long. */
async function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
