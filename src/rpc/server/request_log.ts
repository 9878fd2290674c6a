/**
 * What the log says of requests.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { traceIdOf } from "../../protocol/trace_context.ts";
import type { ObservedRequest, RequestOutcome, ServerObserver } from "./observer.ts";

const logger = getLogger(["fibrpc", "request"]);

/** Stands for a correlation id that a request has not, as in the logs of web servers. */
const NO_ID = "-";

/** The fields of a log record about a request. */
export function logFields(
  { queue, correlationId: requestId = NO_ID, headers, redelivered }: ObservedRequest,
): Record<string, unknown> {
  const traceId = traceIdOf(headers);
  return { queue, requestId, redelivered, ...(traceId !== undefined && { traceId }) };
}

/** Logs each request that has ended, at debug. */
export class RequestLog implements ServerObserver {
  requestSettled(request: ObservedRequest, outcome: RequestOutcome): void {
    if (!logger.isEnabledFor("debug")) return;
    const { startedAt, bodyBytes, replyBytes } = request;
    const handled = startedAt !== undefined && { handlingMs: since(startedAt) };
    logger.debug("request {requestId} of {queue}: {outcome} {ms} ms after its delivery", {
      ...logFields(request),
      outcome,
      ms: since(request.receivedAt),
      ...handled,
      bodyBytes,
      replyBytes,
    });
  }
}

/** In milliseconds, to the microsecond. */
function since(start: number): number {
  return Math.round((performance.now() - start) * 1_000) / 1_000;
}
