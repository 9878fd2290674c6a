/**
 * Settings of a server, and what its handler is given.
 *
 * @module
 */
import { QUEUE_TYPES, type QueueType } from "../../amqp/queue.ts";
import { SUSPECTS_SUFFIX } from "../../protocol/names.ts";
import { checkChoice, checkInteger, checkTimeout } from "../../checks.ts";
import {
  type ConnectOptions,
  resolveConnectOptions,
  type ResolvedConnectOptions,
} from "../connect_options.ts";

/** Settings of an `RpcServer`. */
export interface RpcServerOptions extends ConnectOptions {
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
   * How long one attempt to connect may take, in milliseconds. A server keeps
   * trying, unless the broker refuses it at the start.
   *
   * @default 10000
   */
  connectTimeoutMs?: number;
  /**
   * How long {@linkcode RpcServer.close} waits for requests under way, in
   * milliseconds. What is unanswered then goes back to the queue.
   *
   * @default 30000
   */
  drainTimeoutMs?: number;
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
   * the request queue, so that one that kills its servers can be told from
   * others. Without it there is no such queue, redelivered requests are served
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

/** What a handler may know of a request besides its body. */
export interface HandlerContext {
  /**
   * Aborts when the result is of no use any more: the request's time is up,
   * or the connection it came by is gone, or the server gives up waiting.
   */
  readonly signal: AbortSignal;
  /**
   * When the caller stops waiting, on the clock of `performance.now()`;
   * `undefined` if the request has no `expiration`, or one of 0. Counted from
   * the delivery: a server can't see how long a request waited in the queue.
   * It becomes later when the caller sends the same call again.
   */
  readonly deadline: number | undefined;
  /** Whether the request was delivered before, and not acknowledged. */
  readonly redelivered: boolean;
  /**
   * Looks whether anybody still listens at the request's reply address: two
   * round trips to the broker, for a handler to make before expensive work.
   * `true`: nobody does, and whatever the handler gives is not sent.
   */
  isCallerGone(): Promise<boolean>;
}

/**
 * Computes a response, or gives a promise of one (anything with a `then`
 * method). An `RpcError` it throws reaches the caller, anything else as
 * `internal`.
 */
export type RpcHandler<Request, Response> = (
  request: Request,
  context: HandlerContext,
) => Response | PromiseLike<Response>;

/** {@linkcode RpcServerOptions}, checked and complete. */
export type ResolvedServerOptions =
  & ResolvedConnectOptions
  & Required<Omit<RpcServerOptions, keyof ConnectOptions | "allowReplyTo">>
  & Pick<RpcServerOptions, "allowReplyTo">;

/** `basic.qos` holds the prefetch count in 16 bits; 0 would mean no limit. */
const MAX_PREFETCH = 65_535;

/** Fills in the defaults; throws `invalid_argument` for a setting out of its range. */
export function resolveServerOptions(
  options: RpcServerOptions,
): ResolvedServerOptions {
  const {
    queueType = "transient",
    prefetch = 64,
    connectTimeoutMs = 10_000,
    drainTimeoutMs = 30_000,
    maxAttempts = 3,
    quarantine = true,
    allowReplyTo,
  } = options;
  checkChoice("queueType", queueType, QUEUE_TYPES);
  checkInteger("prefetch", prefetch, 1, MAX_PREFETCH);
  checkInteger("maxAttempts", maxAttempts, 2, Number.MAX_SAFE_INTEGER);
  checkTimeout("connectTimeoutMs", connectTimeoutMs);
  checkTimeout("drainTimeoutMs", drainTimeoutMs);
  const connect = resolveConnectOptions(options, "server", SUSPECTS_SUFFIX.length);
  return {
    ...connect,
    queueType,
    prefetch,
    connectTimeoutMs,
    drainTimeoutMs,
    maxAttempts,
    quarantine,
    ...(allowReplyTo === undefined ? {} : { allowReplyTo }),
  };
}
