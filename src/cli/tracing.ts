/**
 * Whether this process traces, and where its trace begins.
 *
 * @module
 */
import type { ClientInterceptor } from "../rpc/client/interceptor.ts";
import type { ServerInterceptor } from "../rpc/server/interceptor.ts";
import { traceIdOf, TRACEPARENT, TRACESTATE } from "../protocol/trace_context.ts";
import type { Environment } from "./environment.ts";
import { programInfo } from "./version.ts";

/** Spans of calls and of requests, and their end. */
export interface Tracing {
  readonly calls: readonly ClientInterceptor[];
  readonly requests: readonly ServerInterceptor[];
  /** Sends what is left. */
  end(): Promise<void>;
}

const OFF: Tracing = { calls: [], requests: [], end: () => Promise.resolve() };

/** Exports spans if the environment names a collector; otherwise nothing is loaded. */
export async function startTracing({ env }: Environment): Promise<Tracing> {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const isOff = env.OTEL_SDK_DISABLED === "true" || env.OTEL_TRACES_EXPORTER === "none";
  if (!endpoint || isOff) return OFF;
  const [{ exportSpans }, { traceCalls, traceRequests }] = await Promise.all([
    import("../ops/otlp.ts"),
    import("../ops/tracing.ts"),
  ]);
  const end = exportSpans({ name: "fibrpc", version: programInfo().version });
  return { calls: [traceCalls()], requests: [traceRequests()], end };
}

/**
 * The headers of the trace that this process is a part of, from `TRACEPARENT` and
 * `TRACESTATE`, as other programs read them.
 */
export function traceHeaders({ env }: Environment): Record<string, string> | undefined {
  const traceparent = env.TRACEPARENT;
  if (!traceparent || traceIdOf({ traceparent }) === undefined) return undefined;
  const tracestate = env.TRACESTATE;
  return { [TRACEPARENT]: traceparent, ...(tracestate && { [TRACESTATE]: tracestate }) };
}
