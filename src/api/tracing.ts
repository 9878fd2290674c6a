/**
 * Spans of calls and requests. It needs the package `@opentelemetry/api`; the
 * program sets up OpenTelemetry's SDK, or Deno its own (`OTEL_DENO=true`).
 *
 * @module
 */
export { traceCalls, traceRequests, type TracingOptions } from "../ops/tracing.ts";
export type { ClientInterceptor } from "../rpc/client/interceptor.ts";
export type { ServerInterceptor } from "../rpc/server/interceptor.ts";
