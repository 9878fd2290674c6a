/**
 * Requests that are answered by running a program.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { concat } from "../../bytes.ts";
import { checkInteger } from "../../checks.ts";
import { RpcError } from "../../errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, MAX_MAX_MESSAGE_BYTES } from "../../protocol/names.ts";
import { traceIdOf } from "../../protocol/trace_context.ts";
import { type HandlerContext, RequeueError, type RpcHandler } from "../../rpc/server/handler.ts";
import { printable } from "../../text.ts";
import { pause } from "../../time.ts";
import { GroupKeeper } from "./group_keeper.ts";
import { type Exit, type GroupOptions, ProcessGroup, SpawnError } from "./process_group.ts";
import { requestEnvironment } from "./request_environment.ts";
import { StderrLines } from "./stderr_lines.ts";

const logger = getLogger(["fibrpc", "command"]);

/** `EX_USAGE` and `EX_DATAERR` of sysexits.h: the command says that its input is wrong. */
const CALLER_IS_WRONG: readonly number[] = [64, 65];

/** How much of a command's last words its caller gets, in characters. */
const MAX_WORDS = 1_024;

/** How long a request waits whose command can't be started, in milliseconds: at first, and at the most. */
const START_RETRY_MS = { first: 200, cap: 5_000 };

/** Settings of {@linkcode commandHandler}. */
export interface CommandOptions {
  /** The program and its arguments. No shell reads them, and nothing of a request is among them. */
  readonly command: readonly [program: string, ...args: string[]];
  /**
   * The command's environment, besides what the request gives: `FIBRPC_REQUEST_ID`,
   * `FIBRPC_DEADLINE_MS` (since 1970), `FIBRPC_REDELIVERED` (`true` or `false`),
   * `FIBRPC_CONTENT_TYPE`, `FIBRPC_HEADER_<NAME>`, `TRACEPARENT`, `TRACESTATE`.
   *
   * @default {}
   */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * The largest response, in bytes. A command that writes more is ended, and its
   * caller gets `resource_exhausted`.
   *
   * @default 16777216
   */
  readonly maxMessageBytes?: number;
  /** Is called with what becomes of commands. */
  readonly observer?: CommandObserver;
}

/** Is called with what becomes of commands. */
export interface CommandObserver {
  /** A command has ended: with an exit code, or by a signal such as `SIGKILL`. */
  commandEnded?(exit: number | string): void;
  /**
   * The system could not start the command: so often in a row. Each time the
   * request goes back to its queue.
   */
  startFailed?(reason: string, inARow: number): void;
}

/** A handler that runs a command for each request; see {@linkcode commandHandler}. */
export interface CommandHandler extends RpcHandler<Uint8Array, Uint8Array>, AsyncDisposable {
  /** Ends all commands that still run, with all that they have started. */
  close(): Promise<void>;
}

/**
 * Makes a handler that runs a command for each request: the request's body is
 * its standard input, and what it writes to its standard output is the response.
 *
 * - Exit code 0: the response.
 * - 64 or 65 (`EX_USAGE`, `EX_DATAERR`): `invalid_argument`, with its last line on standard error.
 * - Any other, and a signal: `internal`. All lines on standard error are logged.
 * - When its time is up, its process group gets SIGTERM, and SIGKILL after two seconds.
 * - What it has started and left ends with it, unless it has a session of its own (`setsid`).
 *
 * Needs a system with process groups: not Windows. Use `concurrency` to bound how
 * many run at the same time, and `maxTimeMs` for how long.
 *
 * @example A checksum
 * ```ts
 * import { commandHandler } from "@fibrpc/fibrpc/command";
 * import { bytes, RpcServer } from "@fibrpc/fibrpc/server";
 *
 * export async function serve(url: string): Promise<void> {
 *   await using sha256sum = commandHandler({ command: ["/usr/bin/sha256sum"] });
 *   await using server = new RpcServer({ url });
 *   const service = { queue: "checksum", input: bytes, output: bytes };
 *   server.serve(service, sha256sum, { concurrency: 4, prefetch: 4, maxTimeMs: 60_000 });
 *   await server.start();
 *   await server.closed;
 * }
 * ```
 *
 * @throws {RpcError} `invalid_argument` for a setting that makes no sense.
 */
export function commandHandler(options: CommandOptions): CommandHandler {
  const runner = new CommandRunner(options);
  const close = () => runner.close();
  return Object.assign(
    (input: Uint8Array, context: HandlerContext) => runner.run(input, context),
    { close, [Symbol.asyncDispose]: close },
  );
}

class CommandRunner {
  readonly #command: readonly [string, ...string[]];
  readonly #env: Readonly<Record<string, string>>;
  readonly #maxBytes: number;
  readonly #observer: CommandObserver;
  readonly #keeper = new GroupKeeper();
  readonly #groups = new Set<ProcessGroup>();
  readonly #closing = new AbortController();
  #failures = 0;
  #retryAt = 0;

  constructor({ command, env = {}, maxMessageBytes, observer = {} }: CommandOptions) {
    const parts: readonly unknown[] = command;
    const isText = (part: unknown) => typeof part === "string" && !part.includes("\0");
    if (!command[0] || !parts.every(isText)) {
      const text = `a command is a program and its arguments, not ${JSON.stringify(command)}`;
      throw new RpcError("invalid_argument", text);
    }
    this.#maxBytes = maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
    checkInteger("maxMessageBytes", this.#maxBytes, 1, MAX_MAX_MESSAGE_BYTES);
    this.#command = command;
    this.#env = env;
    this.#observer = observer;
  }

  async run(input: Uint8Array, context: HandlerContext): Promise<Uint8Array> {
    const { signal, correlationId: requestId } = context;
    const traceId = traceIdOf(context.headers);
    const about = { requestId, ...(traceId !== undefined && { traceId }) };
    const output: Uint8Array[] = [];
    let size = 0;
    const lines = new StderrLines((line) => logger.info("{line}", { line, ...about }));
    const group = await this.#start(context, {
      input,
      onStdout: (bytes) => {
        size += bytes.length;
        if (size <= this.#maxBytes) output.push(bytes);
        else terminate();
      },
      onStderr: (bytes) => lines.write(bytes),
    });
    const terminate = () => void group.terminate();
    signal.addEventListener("abort", terminate);
    if (signal.aborted || this.#closing.signal.aborted) terminate();
    const exit = await group.ended;
    signal.removeEventListener("abort", terminate);
    this.#end(group);
    this.#observer.commandEnded?.(exit.code ?? exit.signal ?? "unknown");

    lines.end();
    if (lines.skipped > 0) {
      logger.warn("{skipped} more lines on standard error", { skipped: lines.skipped, ...about });
    }
    if (exit.isHeld) {
      const text = "the command ended, and something that it had started held its output";
      logger.warn(text, about);
    }
    if (size > this.#maxBytes) {
      const text = `the result has over ${this.#maxBytes} bytes, the message limit`;
      throw new RpcError("resource_exhausted", text);
    }
    if (exit.code !== 0) throw failure(exit, lines.last);
    return concat(output);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#groups].map((group) => group.terminate()));
    await this.#keeper.close();
  }

  async #start(
    context: HandlerContext,
    streams: Pick<GroupOptions, "input" | "onStdout" | "onStderr">,
  ): Promise<ProcessGroup> {
    const env = { ...this.#env, ...requestEnvironment(context) };
    try {
      this.#keeper.start();
      const group = await ProcessGroup.start({ command: this.#command, env, ...streams });
      this.#failures = 0;
      this.#keeper.add(group.id);
      this.#groups.add(group);
      return group;
    } catch (error) {
      if (!(error instanceof SpawnError)) throw error;
      await this.#backOff(error.message, context.signal);
      throw new RequeueError(error.message, { cause: error });
    }
  }

  /** Ends what the program has left, which need not take the caller's time. */
  #end(group: ProcessGroup): void {
    group.terminate().then(() => {
      this.#groups.delete(group);
      this.#keeper.delete(group.id);
    });
  }

  /** The fault is not the request's; those that fail meanwhile are one failure. */
  async #backOff(reason: string, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    if (now >= this.#retryAt) {
      this.#failures += 1;
      const waitMs = Math.min(START_RETRY_MS.first * 2 ** (this.#failures - 1), START_RETRY_MS.cap);
      this.#retryAt = now + waitMs;
      this.#observer.startFailed?.(reason, this.#failures);
    }
    await pause(this.#retryAt - now, AbortSignal.any([signal, this.#closing.signal]));
  }
}

function failure({ code, signal }: Exit, lastLine: string): RpcError {
  if (code !== null && CALLER_IS_WRONG.includes(code)) {
    const words = printable(lastLine).slice(0, MAX_WORDS);
    const text = words || `the command refused the request (exit code ${code})`;
    return new RpcError("invalid_argument", text);
  }
  const how = code === null ? `was ended by ${signal}` : `ended with exit code ${code}`;
  return new RpcError("internal", `the command ${how}`);
}
