/**
 * The errors of calls that fail on this side: what was tried, where, and what
 * was found out.
 *
 * @module
 */
import type { QueueInspection } from "../../amqp/queue.ts";
import { RpcError } from "../../errors.ts";
import { count } from "../../text.ts";
import { diagnose } from "../queue_diagnosis.ts";
import type { PendingCall } from "./pending_calls.ts";

/** A call in an error's words, such as `fib(30) from rpc_queue on localhost:5672`. */
export type CallPlace = string;

/** A call in an error's words, without where it went, such as `fib(30)`. */
export function nameOf(
  { service, input, name }: Pick<PendingCall, "service" | "input"> & { name?: string | undefined },
): string {
  if (name !== undefined) return name;
  try {
    return service.describe?.(input) ?? `a call of ${service.queue}`;
  } catch {
    return `a call of ${service.queue}`;
  }
}

export function noQueue(place: CallPlace): RpcError {
  return new RpcError(
    "no_server",
    `nobody serves ${place}: the queue does not exist`,
  );
}

export function noConsumer(place: CallPlace): RpcError {
  return new RpcError(
    "no_server",
    `nobody serves ${place}: the queue has no consumer`,
  );
}

/** What is known when a call's time is up. */
export interface Findings {
  readonly outage: string | undefined;
  /** What a look at the queue found. */
  readonly queue: QueueInspection | undefined;
  readonly sent: number;
  /** How many replies of no call have come since it was made. */
  readonly unknownReplies: number;
}

/** @param place With the broker only where no outage names that. */
export function expired(place: CallPlace, timeoutMs: number, findings: Findings): RpcError {
  const patience = formatMs(timeoutMs);
  const text = `no reply to ${place} within ${patience}`;
  if (findings.outage !== undefined) {
    return new RpcError("unavailable", `${findings.outage}; ${text}`);
  }
  const facts = factsOf(findings, patience);
  return new RpcError(
    "deadline_exceeded",
    facts.length === 0 ? text : `${text}: ${facts.join("; ")}`,
  );
}

export function cancelled(place: CallPlace, signal: AbortSignal): RpcError {
  return new RpcError("cancelled", `the call of ${place} was cancelled`, {
    cause: signal.reason,
  });
}

export function closed(): RpcError {
  return new RpcError("cancelled", "the client was closed");
}

export function outcomeUnknown(place: CallPlace, cause: unknown): RpcError {
  return new RpcError(
    "unavailable",
    `outcome unknown: the connection was lost while ${place} was under way`,
    { cause },
  );
}

function factsOf({ queue, sent, unknownReplies }: Findings, patience: string): string[] {
  const facts: string[] = [];
  const diagnosis = queue && diagnose(queue, patience);
  if (diagnosis !== undefined) facts.push(diagnosis);
  if (sent > 1) facts.push(`sent ${sent} times`);
  if (unknownReplies > 0) {
    const replies = count(unknownReplies, "reply", "replies");
    facts.push(`${replies} came with an unknown correlation id`);
  }
  return facts;
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000}s`;
}
