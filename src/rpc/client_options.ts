/**
 * Settings of a client and of a call, and what a client counts.
 *
 * @module
 */
import {
  checkInteger,
  checkTimeout,
  type ConnectOptions,
  resolveConnectOptions,
  type ResolvedConnectOptions,
} from "./options.ts";

/** How replies come back; see {@linkcode RpcClientOptions.reply}. */
export type ReplyPath = "direct" | "queue";

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
  reply?: ReplyPath;
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
   * After how long without a reply a request is sent again if its queue is
   * empty, or a later one was answered, in milliseconds: requests vanish unseen
   * when their queue is deleted. The wait doubles each time. `Infinity`: never,
   * for calls that take long and cost much.
   *
   * @default 10000
   */
  resendAfterMs?: number;
}

/** Settings of one call. */
export interface CallOptions {
  /** How long it may take in all, in milliseconds. Default: the client's `timeoutMs`. */
  timeoutMs?: number;
  /** Gives the call up: it rejects with `cancelled`. */
  signal?: AbortSignal;
  /**
   * Whether it may be sent again after a lost connection. If not, it fails at
   * once with `unavailable`; the broker may deliver it twice even so.
   *
   * @default true
   */
  idempotent?: boolean;
}

/** What a client has done so far. */
export interface RpcClientStats {
  /** Calls made. */
  calls: number;
  /** Calls that ended with a response. */
  responses: number;
  /** Calls that ended with an error. */
  errors: number;
  /** Requests sent again, after a lost connection or a queue that was gone. */
  resubmissions: number;
  /** Replies nobody waited for: late or duplicate. */
  repliesDropped: number;
}

/** {@linkcode RpcClientOptions}, checked and complete. */
export type ResolvedClientOptions =
  & ResolvedConnectOptions
  & Required<Omit<RpcClientOptions, keyof ConnectOptions>>;

/** Fills in the defaults; throws `invalid_argument` for a setting out of its range. */
export function resolveClientOptions(
  options: RpcClientOptions,
): ResolvedClientOptions {
  const {
    timeoutMs = 30_000,
    connectTimeoutMs = 5_000,
    reply = "direct",
    requireServer = false,
    maxPending = 100_000,
    resendAfterMs = 10_000,
  } = options;
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
  };
}
