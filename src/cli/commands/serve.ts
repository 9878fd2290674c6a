/**
 * `fibrpc serve`.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../../errors.ts";
import { FibonacciServer, type FibonacciServerOptions } from "../../services/fibonacci/server.ts";
import { DEFAULT_QUEUE } from "../../protocol/names.ts";
import type { Environment } from "../environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_UNAVAILABLE, exitCodeOf } from "../exit_codes.ts";
import { onEndSignal } from "../signals.ts";

const logger = getLogger(["fibrpc", "serve"]);

export interface ServeCommandOptions extends FibonacciServerOptions {
  /** Whether to end when there is no connection, instead of trying again. */
  readonly exitOnDisconnect: boolean;
}

/**
 * Serves until a signal comes, then drains.
 *
 * @returns The exit code.
 */
export async function serve(
  environment: Environment,
  { exitOnDisconnect, ...options }: ServeCommandOptions,
): Promise<number> {
  const { queue = DEFAULT_QUEUE } = options;
  const ended = Promise.withResolvers<number>();
  let isEnding = false;
  const server = new FibonacciServer({
    ...options,
    onStateChange({ state, broker, reason }) {
      if (state === "connected") {
        logger.info("Awaiting RPC requests on {queue} at {broker}", { queue, broker });
      } else if (state === "connecting" && exitOnDisconnect && !isEnding) {
        isEnding = true;
        logger.error("no connection to {broker}, and not to try again: {reason}", {
          broker,
          reason,
        });
        server.close().then(() => ended.resolve(EXIT_UNAVAILABLE));
      }
    },
  });
  onEndSignal(environment, (signal) => {
    isEnding = true;
    const { pending } = server;
    logger.info("{signal}: draining: {pending} requests are being finished, no more are taken", {
      signal,
      pending,
    });
    server.close().then((unanswered) => ended.resolve(unanswered === 0 ? EXIT_OK : EXIT_FAILURE));
  });
  environment.onWarning((text) => logger.warn("{text}", { text }));
  try {
    await server.start();
  } catch (thrown) {
    const error = RpcError.from(thrown);
    // Closed before it ever connected: `ended` says why.
    if (error.code !== "cancelled") {
      logger.error("{message} ({code})", { message: error.message, code: error.code });
      return exitCodeOf(error);
    }
  }
  const exitCode = await ended.promise;
  if (exitCode === EXIT_FAILURE) {
    logger.error("not all requests were finished in time: the others go back to the queue");
  }
  logger.info("served {responses} responses and {errors} errors", { ...server.stats });
  return exitCode;
}
