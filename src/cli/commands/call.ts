/**
 * `fibrpc call`: what calls for numbers and calls with bodies have in common.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import type { RpcClient } from "../../rpc/client/client.ts";
import type { EndSignal, Environment } from "../environment.ts";
import { EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, exitCodeOf } from "../exit_codes.ts";
import { inOrder } from "../io/in_order.ts";
import { Progress } from "../io/progress.ts";
import { type CallOutcome, type ResultFormat, ResultWriter } from "../io/result_writer.ts";
import { report } from "../report.ts";
import { onEndSignal } from "../signals.ts";

/** How many calls are in flight at once by default. */
const DEFAULT_IN_FLIGHT = 256;

/** What the command line says about any calls. */
export interface CallSettings {
  /** How many calls are in flight at once. */
  readonly inFlight?: number;
  /** Whether failures are told by the exit code only. */
  readonly quiet: boolean;
}

/** What is called, and how. */
export interface Calls<Input, Outcome extends CallOutcome> {
  readonly client: Pick<RpcClient, "close" | "state">;
  readonly inputs: CallInputs<Input>;
  readonly format: ResultFormat<Outcome>;
  /** How many bytes an outcome holds, if that can be many. */
  readonly sizeOf?: (outcome: Outcome) => number;
  /**
   * Makes a call; it must not reject.
   *
   * @param refusal Why no call can succeed, if that is known: then none is made.
   */
  readonly call: (input: Input, refusal: RpcError | undefined) => Promise<Outcome>;
}

/** What is to be called with. */
export interface CallInputs<Input> {
  /** Yields inputs as they are read. */
  batches(): AsyncIterable<readonly Input[]>;
  /** How many there are, if that is known. */
  readonly total?: number | undefined;
  /** Why the rest of them couldn't be read, if so. */
  readonly failure: string | undefined;
}

/**
 * Makes all calls and prints the results in the order of their inputs.
 *
 * @returns The exit code.
 */
export async function callAll<Input, Outcome extends CallOutcome>(
  environment: Environment,
  { client, inputs, format, sizeOf, call }: Calls<Input, Outcome>,
  { inFlight = DEFAULT_IN_FLIGHT, quiet }: CallSettings,
): Promise<number> {
  const writer = new ResultWriter(environment, format, quiet);
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
  const run = async (input: Input): Promise<Outcome> => {
    const outcome = await call(input, refusal);
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
  const progress = quiet ? undefined : new Progress(environment, inputs.total);
  await inOrder<Input, Outcome>({
    inputs: inputs.batches(),
    maxInFlight: inFlight,
    signal: giveUp.signal,
    enough: enough.signal,
    ready: () => writer.ready(),
    run,
    ...(sizeOf && { sizeOf }),
    emit(outcome) {
      if (giveUp.signal.aborted) return; // The rest is cut off, not failed.
      progress?.add();
      writer.write(outcome);
      if (exitCode === EXIT_OK) exitCode = exitCodeAfter(outcome);
    },
  });
  progress?.end();
  await Promise.all([client.close(), writer.end()]);
  if (signalled !== undefined) return EXIT_BY_SIGNAL[signalled];
  if (writer.failure !== undefined) {
    if (!quiet) report(environment, `can't write the results: ${writer.failure}`);
    return EXIT_FAILURE;
  }
  if (inputs.failure !== undefined) {
    if (!quiet) report(environment, inputs.failure);
    if (exitCode === EXIT_OK) return EXIT_USAGE;
  }
  return exitCode;
}

/**
 * Makes one call, and takes its time.
 *
 * @param serverHint How a server is started that would answer it.
 */
export async function timed<Result>(
  call: () => Promise<Result>,
  serverHint: string,
): Promise<{ ms: number; result?: Result; error?: RpcError }> {
  const start = performance.now();
  try {
    const result = await call();
    return { ms: performance.now() - start, result };
  } catch (thrown) {
    const error = withHint(RpcError.from(thrown), serverHint);
    return { ms: performance.now() - start, error };
  }
}

/**
 * Whether all other calls would fail likewise, so that no more input is read:
 * the broker refuses the connection or, before anything was ever answered, can't
 * be reached or has no server.
 */
function isFinal(
  { code, remote }: RpcError,
  state: RpcClient["state"],
  isAnswered: boolean,
): boolean {
  if (remote) return false;
  if (code === "no_server") return !isAnswered;
  if (state === "connected" || state === "blocked") return false;
  return code === "unauthenticated" || code === "permission_denied" ||
    code === "unavailable" && !isAnswered;
}

/** Says what to do where that is something about this program. */
function withHint(error: RpcError, serverHint: string): RpcError {
  if (error.code !== "no_server" || error.remote) return error;
  return new RpcError(error.code, `${error.message} (start a server with "${serverHint}")`);
}

function exitCodeAfter({ error, refusedHere }: CallOutcome): number {
  if (error === undefined) return EXIT_OK;
  return refusedHere ? EXIT_USAGE : exitCodeOf(error);
}
