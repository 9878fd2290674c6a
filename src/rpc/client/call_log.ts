/**
 * What the log says of calls.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { traceIdOf } from "../../protocol/trace_context.ts";
import type { CallOutcome } from "./observer.ts";
import type { PendingCall } from "./pending_calls.ts";

const logger = getLogger(["fibrpc", "call"]);

/** Logs a call that has ended, at debug. */
export function logCall(call: PendingCall, outcome: CallOutcome): void {
  if (!logger.isEnabledFor("debug")) return;
  const { id: requestId, queue: { name: queue }, sent, deadline, timeoutMs, headers } = call;
  const traceId = traceIdOf(headers);
  const ms = Math.round((performance.now() - deadline + timeoutMs) * 1_000) / 1_000;
  logger.debug("call {requestId} of {queue}: {outcome} after {ms} ms, sent {sent} times", {
    queue,
    requestId,
    outcome,
    ms,
    sent,
    ...(traceId !== undefined && { traceId }),
  });
}
