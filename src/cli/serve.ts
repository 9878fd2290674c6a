/**
 * `fibrpc serve`.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { RpcError } from "../errors.ts";
import { FibonacciServer, type FibonacciServerOptions } from "../fibonacci/server.ts";
import { DEFAULT_QUEUE } from "../protocol.ts";
import type { Environment } from "./environment.ts";
import { EXIT_BY_ERROR, EXIT_BY_SIGNAL, EXIT_FAILURE, EXIT_OK } from "./exit_codes.ts";

const logger = getLogger(["fibrpc", "serve"]);

/**
 * Serves until a signal comes, then drains.
 *
 * @returns The exit code.
 */
export async function serve(
  environment: Environment,
  options: FibonacciServerOptions,
): Promise<number> {
  const { queue = DEFAULT_QUEUE } = options;
  const server = new FibonacciServer({
    ...options,
    onStateChange({ state, broker }) {
      if (state !== "connected") return;
      logger.info("Awaiting RPC requests on {queue} at {broker}", {
        queue,
        broker,
      });
    },
  });
  const drained = new Promise<number>((resolve) => {
    environment.onSignal((signal) => {
      if (server.state === "closed") {
        environment.exit(EXIT_BY_SIGNAL[signal]);
        return;
      }
      logger.info("{signal}: finishing {pending} requests, taking no more", {
        signal,
        pending: server.pending,
      });
      server.close().then(resolve);
    });
  });
  try {
    await server.start();
  } catch (thrown) {
    const error = RpcError.from(thrown);
    // Closed by a signal before it ever connected: that is no failure.
    if (error.code !== "cancelled") {
      logger.error("{message} ({code})", {
        message: error.message,
        code: error.code,
      });
      return EXIT_BY_ERROR[error.code];
    }
  }
  const unanswered = await drained;
  if (unanswered === 0) return EXIT_OK;
  logger.error(
    "{unanswered} requests were not finished in time and go back to the queue",
    {
      unanswered,
    },
  );
  return EXIT_FAILURE;
}
