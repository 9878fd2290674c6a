/**
 * What a server does, for Prometheus. It needs the package `prom-client`.
 *
 * @module
 */
export { type MeasuredServer, ServerMetrics } from "../ops/metrics.ts";
export type { ObservedRequest, RequestOutcome, ServerObserver } from "../rpc/server/observer.ts";
