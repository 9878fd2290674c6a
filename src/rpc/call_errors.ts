/**
 * What a caller is told when a call fails on this side: what was tried,
 * where, what was found out, and what to do.
 *
 * @module
 */
import type { QueueInspection } from "../amqp/queue.ts";
import { RpcError } from "../errors.ts";

/** A call in an error's words, such as `fib(30) from rpc_queue on localhost:5672`. */
export type CallPlace = string;

const START_ONE = `(start a server with "fibrpc serve")`;

/** The request queue doesn't exist. */
export function noQueue(place: CallPlace): RpcError {
  return new RpcError(
    "no_server",
    `nobody serves ${place}: the queue does not exist ${START_ONE}`,
  );
}

/** The request queue has no consumer. */
export function noConsumer(place: CallPlace): RpcError {
  return new RpcError(
    "no_server",
    `nobody serves ${place}: the queue has no consumer ${START_ONE}`,
  );
}

/** The deadline passed. `outage` says why there is no connection, if there is none. */
export function expired(
  place: CallPlace,
  timeoutMs: number,
  outage: string | undefined,
  queue: QueueInspection | undefined,
): RpcError {
  const text = `no reply to ${place} within ${formatMs(timeoutMs)}`;
  if (outage !== undefined) {
    return new RpcError("unavailable", `${text}: ${outage}`);
  }
  return new RpcError("deadline_exceeded", `${text}${explain(queue)}`);
}

/** The caller gave up. */
export function cancelled(place: CallPlace, signal: AbortSignal): RpcError {
  return new RpcError("cancelled", `the call of ${place} was cancelled`, {
    cause: signal.reason,
  });
}

/** The client was closed. */
export function closed(): RpcError {
  return new RpcError("cancelled", "the client was closed");
}

/** Not sent again, because its caller said that it must not be. */
export function outcomeUnknown(place: CallPlace, cause: unknown): RpcError {
  return new RpcError(
    "unavailable",
    `outcome unknown: the connection was lost while ${place} was under way`,
    { cause },
  );
}

function explain(queue: QueueInspection | undefined): string {
  if (queue?.found === false) return `: the queue is gone ${START_ONE}`;
  if (queue?.found !== true) return "";
  const { consumers, messages } = queue;
  const facts = `: ${count(consumers, "consumer")}, ${count(messages, "message")} waiting`;
  return consumers === 0 ? `${facts} (is a server running? start one with "fibrpc serve")` : facts;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000}s`;
}
