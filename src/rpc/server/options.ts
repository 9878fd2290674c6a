/**
 * Settings of a server, and of what it serves.
 *
 * @module
 */
import { QUEUE_TYPES, type QueueType } from "../../amqp/queue.ts";
import { checkChoice, checkInteger, checkTimeout } from "../../checks.ts";
import { type ConnectOptions, resolveConnectOptions } from "../connect_options.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import type { ServerObserver } from "./observer.ts";

/** How long a drain waits by default, in milliseconds. */
export const DEFAULT_DRAIN_TIMEOUT_MS = 25_000;

/** Settings of an `RpcServer`. */
export interface RpcServerOptions extends ConnectOptions {
  /**
   * How long one attempt to connect may take, in milliseconds. A server keeps
   * trying, unless the broker refuses it at the start.
   *
   * @default 10000
   */
  connectTimeoutMs?: number;
  /**
   * How long {@linkcode RpcServer.close} waits for requests under way, in
   * milliseconds. What is unanswered then goes back to the queue. Kubernetes
   * kills after 30 seconds unless it is told otherwise, docker after 10.
   *
   * @default 25000
   */
  drainTimeoutMs?: number;
  /** Run around every handler, the first outermost. */
  interceptors?: readonly ServerInterceptor[];
  /** Is called with each request and how it ended: for metrics. */
  observer?: ServerObserver;
}

/** Settings of one service of an `RpcServer`. */
export interface ServeOptions {
  /**
   * How the request queue is declared if it doesn't exist yet. One that
   * exists is used as it is.
   *
   * @default "transient"
   */
  queueType?: QueueType;
  /**
   * How many requests the broker hands out before it waits for replies, from
   * 1 to 65535.
   *
   * Of fib(30), with 256 in flight and the broker on the same machine, a server
   * answered in a second 7,300 with 1, 36,900 with 16, 43,100 with 32, 46,900
   * with 64, 47,200 with 128 and 46,400 with 256. A broker that is farther away
   * wants at least the calls per second times the round trip. More than
   * that gains nothing, and lets one server hold expensive requests that
   * another could compute.
   *
   * @default 64
   */
  prefetch?: number;
  /**
   * How many handlers run at the same time, from 1. Of the requests that the
   * broker has handed out, the others wait. A handler that returns no promise is
   * one of them for as long as it runs.
   *
   * @default Infinity
   */
  concurrency?: number;
  /**
   * How long a handler may take, in milliseconds, whatever time the caller has.
   * When it is over, the handler's signal aborts and the caller gets
   * `resource_exhausted`. `Infinity`: as long as it likes.
   *
   * @default Infinity
   */
  maxTimeMs?: number;
  /**
   * How many servers in a row a request may take with it before it is answered
   * with `internal`, from 2. It is started among others at first, alone the
   * last time at least.
   *
   * @default 3
   */
  maxAttempts?: number;
  /**
   * Whether the starts of redelivered requests are recorded in a queue beside
   * the request queue, so that one that kills its servers can be found
   * among others. Without it there is no such queue, redelivered requests are served
   * like others, and `maxAttempts` has no effect.
   *
   * @default true
   */
  quarantine?: boolean;
  /**
   * Which reply addresses may be published to. Never allowed are the request
   * queue itself, and names with the broker's prefix `amq.` that are no reply
   * addresses. Default: all others are.
   */
  allowReplyTo?: (replyTo: string) => boolean;
}

/** {@linkcode RpcServerOptions}, checked and complete. */
export type ResolvedServerOptions = ReturnType<typeof resolveServerOptions>;

/** {@linkcode ServeOptions}, checked and complete. */
export type ResolvedServeOptions = ReturnType<typeof resolveServeOptions>;

/** `basic.qos` holds the prefetch count in 16 bits; 0 would mean no limit. */
const MAX_PREFETCH = 65_535;

/** Fills in the defaults; throws `invalid_argument` for a setting out of its range. */
export function resolveServerOptions(options: RpcServerOptions) {
  const { connectTimeoutMs = 10_000, drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS } = options;
  checkTimeout("connectTimeoutMs", connectTimeoutMs);
  checkTimeout("drainTimeoutMs", drainTimeoutMs);
  const { interceptors = [], observer } = options;
  const connect = resolveConnectOptions(options, "server");
  return { ...connect, connectTimeoutMs, drainTimeoutMs, interceptors, observer };
}

/** Fills in the defaults; throws `invalid_argument` for a setting out of its range. */
export function resolveServeOptions(options: ServeOptions) {
  const {
    queueType = "transient",
    prefetch = 64,
    concurrency = Infinity,
    maxTimeMs = Infinity,
    maxAttempts = 3,
    quarantine = true,
    allowReplyTo,
  } = options;
  checkChoice("queueType", queueType, QUEUE_TYPES);
  checkInteger("prefetch", prefetch, 1, MAX_PREFETCH);
  checkInteger("maxAttempts", maxAttempts, 2, Number.MAX_SAFE_INTEGER);
  if (concurrency !== Infinity) {
    checkInteger("concurrency", concurrency, 1, Number.MAX_SAFE_INTEGER);
  }
  if (maxTimeMs !== Infinity) checkTimeout("maxTimeMs", maxTimeMs);
  return { queueType, prefetch, concurrency, maxTimeMs, maxAttempts, quarantine, allowReplyTo };
}
