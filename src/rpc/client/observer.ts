/**
 * What becomes of calls, for whoever counts them. Each call ends once, with one
 * outcome.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { RpcErrorCode } from "../../errors.ts";
import { stackOf } from "../../text.ts";

const logger = getLogger(["fibrpc", "client"]);

/** How a call ended: with a response, or with an error of a code. */
export type CallOutcome = "response" | RpcErrorCode;

/** Is called with what becomes of one call's request. What it throws is logged, and changes nothing. */
export interface CallObserver {
  /** The request was published with this correlation id; `attempt` counts from 1. */
  requestSent?(id: string, attempt: number): void;
  /** The request can't be published at present: there is no connection, or the broker takes no messages. */
  requestHeld?(id: string, reason: "connecting" | "blocked"): void;
}

/** Calls an observer that is not ours. */
export function notify(observer: CallObserver, call: (observer: CallObserver) => void): void {
  try {
    call(observer);
  } catch (error) {
    logger.error("an observer failed: {error}", { error: stackOf(error) });
  }
}

/** Is called with what a client does. */
export interface ClientObserver {
  /** A call was accepted, and waits for its reply. */
  callStarted(): void;
  /** A call that was started has ended. */
  callSettled(outcome: CallOutcome): void;
  /** A request was sent again. */
  requestResent(): void;
  /** A reply came that no call waits for; `unknown` if no call of this client had its correlation id. */
  replyDropped(reply: "late" | "unknown"): void;
}

/** What a client has done so far. */
export interface RpcClientStats {
  /** Calls made. */
  calls: number;
  /** Calls that ended with a response. */
  responses: number;
  /** Calls that ended with an error. */
  errors: number;
  /** Requests sent again: see {@linkcode ServiceTarget.idempotent}. */
  resubmissions: number;
  /** Replies that no call waited for: late ones, duplicates, and the unknown. */
  repliesDropped: number;
  /** Those of them that had no correlation id, or one that no call of this client had. */
  repliesUnknown: number;
}

/** Counts what a client does. */
export class ClientCounters implements ClientObserver {
  readonly stats: RpcClientStats = {
    calls: 0,
    responses: 0,
    errors: 0,
    resubmissions: 0,
    repliesDropped: 0,
    repliesUnknown: 0,
  };

  callStarted(): void {
    this.stats.calls += 1;
  }

  callSettled(outcome: CallOutcome): void {
    this.stats[outcome === "response" ? "responses" : "errors"] += 1;
  }

  requestResent(): void {
    this.stats.resubmissions += 1;
  }

  replyDropped(reply: "late" | "unknown"): void {
    this.stats.repliesDropped += 1;
    if (reply === "unknown") this.stats.repliesUnknown += 1;
  }
}
