/**
 * What becomes of requests, for whoever counts them. Each request that was
 * delivered ends once, with one outcome.
 *
 * @module
 */
import type { RpcErrorCode } from "../../errors.ts";

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

/** Is called with what a server does. */
export interface ServerObserver {
  /** A request was delivered. */
  requestReceived(): void;
  /** A request that was delivered has ended. */
  requestSettled(outcome: RequestOutcome): void;
  /** A reply came back, because its queue does not exist. */
  replyReturned(): void;
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

  requestSettled(outcome: RequestOutcome): void {
    for (const count of COUNTED[outcome] ?? ERROR) this.stats[count] += 1;
  }

  replyReturned(): void {
    this.stats.unroutable += 1;
  }
}
