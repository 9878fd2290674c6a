/**
 * Settings of a client.
 *
 * @module
 */
import { checkChoice, checkInteger, checkTimeout } from "../../checks.ts";
import { type ConnectOptions, resolveConnectOptions } from "../connect_options.ts";
import type { ClientInterceptor } from "./interceptor.ts";

/** How replies come back; see {@linkcode RpcClientOptions.reply}. */
export type ReplyMode = "direct" | "queue";

const REPLY_MODES: readonly ReplyMode[] = ["direct", "queue"];

/** Settings of an `RpcClient`. */
export interface RpcClientOptions extends ConnectOptions {
  /**
   * How long a call may take in all, in milliseconds, unless it says
   * otherwise: connecting, waiting and reconnecting included.
   *
   * @default 30000
   */
  timeoutMs?: number;
  /**
   * How long the first connection may take, in milliseconds, over all brokers
   * and attempts. A call's own timeout counts all the same.
   *
   * @default 5000
   */
  connectTimeoutMs?: number;
  /**
   * `direct` uses RabbitMQ's direct reply-to: nothing to declare, the fewest
   * round trips. `queue` declares one exclusive queue for this client: more
   * calls per second where many are in flight, but it needs the permission to
   * configure.
   *
   * @default "direct"
   */
  reply?: ReplyMode;
  /**
   * Whether a call fails with `no_server` when nobody consumes the request
   * queue, instead of waiting for a server to come.
   *
   * @default false
   */
  requireServer?: boolean;
  /**
   * How many calls may wait for their replies; one more fails at once with
   * `resource_exhausted`.
   *
   * @default 100000
   */
  maxPending?: number;
  /**
   * How long a call that is `idempotent` waits for its reply before it looks
   * whether its request is lost, in milliseconds. `Infinity`: it never looks.
   *
   * @default 10000
   */
  resendAfterMs?: number;
  /** Run around every call, the first outermost. */
  interceptors?: readonly ClientInterceptor[];
}

/** {@linkcode RpcClientOptions}, checked and complete. */
export type ResolvedClientOptions = ReturnType<typeof resolveClientOptions>;

/** Fills in the defaults; throws `invalid_argument` for a setting out of its range. */
export function resolveClientOptions(options: RpcClientOptions) {
  const {
    timeoutMs = 30_000,
    connectTimeoutMs = 5_000,
    reply = "direct",
    requireServer = false,
    maxPending = 100_000,
    resendAfterMs = 10_000,
    interceptors = [],
  } = options;
  checkChoice("reply", reply, REPLY_MODES);
  checkTimeout("timeoutMs", timeoutMs);
  checkTimeout("connectTimeoutMs", connectTimeoutMs);
  if (resendAfterMs !== Infinity) checkTimeout("resendAfterMs", resendAfterMs);
  checkInteger("maxPending", maxPending, 1, Number.MAX_SAFE_INTEGER);
  const connect = resolveConnectOptions(options, "client");
  return {
    ...connect,
    timeoutMs,
    connectTimeoutMs,
    reply,
    requireServer,
    maxPending,
    resendAfterMs,
    interceptors,
  };
}
