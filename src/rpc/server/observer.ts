/**
 * What becomes of requests, for whoever counts them. Each request that was
 * delivered ends once, with one outcome.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { RpcErrorCode } from "../../errors.ts";
import { stackOf } from "../../text.ts";

const logger = getLogger(["fibrpc", "server"]);

/**
 * How a request ended: with a response, with an error of a code, or without a
 * reply.
 *
 * - `poisoned`: answered with `internal`, because it killed its servers.
 * - `expired`: its time was up before a reply was sent.
 * - `caller_gone`: its caller was seen to be gone.
 * - `rejected`: it can't be answered.
 * - `duplicate`: the same call was in flight already; one reply is enough.
 * - `returned`: given back to its queue, as this server ends.
 * - `lost`: with its channel; the broker delivers it again.
 */
export type RequestOutcome =
  | "response"
  | RpcErrorCode
  | "poisoned"
  | "expired"
  | "caller_gone"
  | "rejected"
  | "duplicate"
  | "returned"
  | "lost";

/** One request, as those see it who watch what a server does. */
export interface ObservedRequest {
  /** The queue that it came from. */
  readonly queue: string;
  /** Its correlation id, if it has one. */
  readonly correlationId: string | undefined;
  /** Its headers, if it has any. */
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  /** Whether it was delivered before, and not acknowledged. */
  readonly redelivered: boolean;
  /** The size of its body. */
  readonly bodyBytes: number;
  /** When it was delivered, on the clock of `performance.now()`. */
  readonly receivedAt: number;
  /** When it was given to its handler, on the same clock; `undefined` if it was not. */
  readonly startedAt: number | undefined;
  /** The size of the reply's body; 0 before there is one. */
  readonly replyBytes: number;
}

/**
 * Is called with what a server does. What it throws is logged, and changes
 * nothing. It is called for every request: what it does should take a
 * microsecond.
 */
export interface ServerObserver {
  /** A request was delivered. */
  requestReceived?(request: ObservedRequest): void;
  /** A request that was delivered has ended. */
  requestSettled?(request: ObservedRequest, outcome: RequestOutcome): void;
  /** A reply to a request from `queue` came back, because there is no queue `replyTo`. */
  replyReturned?(queue: string, replyTo: string): void;
}

/** Calls several observers, in their order. */
export class Observers implements Required<ServerObserver> {
  readonly #observers: readonly ServerObserver[];

  constructor(...observers: readonly (ServerObserver | undefined)[]) {
    this.#observers = observers.filter((observer) => observer !== undefined);
  }

  requestReceived(request: ObservedRequest): void {
    for (const observer of this.#observers) {
      try {
        observer.requestReceived?.(request);
      } catch (error) {
        logFailure(error);
      }
    }
  }

  requestSettled(request: ObservedRequest, outcome: RequestOutcome): void {
    for (const observer of this.#observers) {
      try {
        observer.requestSettled?.(request, outcome);
      } catch (error) {
        logFailure(error);
      }
    }
  }

  replyReturned(queue: string, replyTo: string): void {
    for (const observer of this.#observers) {
      try {
        observer.replyReturned?.(queue, replyTo);
      } catch (error) {
        logFailure(error);
      }
    }
  }
}

function logFailure(error: unknown): void {
  logger.error("an observer failed: {error}", { error: stackOf(error) });
}

/** What a server has done so far. */
export interface RpcServerStats {
  /** Requests that were delivered. */
  requests: number;
  /** Requests answered with a response. */
  responses: number;
  /** Requests answered with an error. */
  errors: number;
  /** Requests whose time was up before they were started, or done: acknowledged, not answered. */
  expired: number;
  /** Requests whose caller was seen to be gone: rejected. */
  abandoned: number;
  /** Requests that can't be answered: rejected. */
  rejected: number;
  /** Requests that killed a server too often: answered with `internal`. */
  givenUp: number;
  /** Requests that were in flight already: acknowledged, for one reply is enough. */
  duplicates: number;
  /** Replies, responses and errors, that came back because their queue does not exist. */
  unroutable: number;
}

type Counts = readonly (keyof RpcServerStats)[];

/** What an outcome counts as; those that are not here are errors. */
const COUNTED: Partial<Record<RequestOutcome, Counts>> = {
  response: ["responses"],
  poisoned: ["givenUp", "errors"],
  expired: ["expired"],
  caller_gone: ["abandoned"],
  rejected: ["rejected"],
  duplicate: ["duplicates"],
  // They are delivered again, here or elsewhere.
  returned: [],
  lost: [],
};
const ERROR: Counts = ["errors"];

/** Counts what a server does. */
export class ServerCounters implements ServerObserver {
  readonly stats: RpcServerStats = {
    requests: 0,
    responses: 0,
    errors: 0,
    expired: 0,
    abandoned: 0,
    rejected: 0,
    givenUp: 0,
    duplicates: 0,
    unroutable: 0,
  };

  requestReceived(): void {
    this.stats.requests += 1;
  }

  requestSettled(_request: unknown, outcome: RequestOutcome): void {
    for (const count of COUNTED[outcome] ?? ERROR) this.stats[count] += 1;
  }

  replyReturned(): void {
    this.stats.unroutable += 1;
  }
}
