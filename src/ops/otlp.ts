/**
 * Sends spans to a collector over OTLP/HTTP, as OpenTelemetry's own variables
 * say (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` ...).
 *
 * @module
 */
import { context, diag, DiagLogLevel, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { getLogger } from "@logtape/logtape";
import { messageOf, parseJsonObject } from "../text.ts";
import { settledWithin } from "../time.ts";

const logger = getLogger(["fibrpc", "tracing"]);

/** How long the end of the program waits for the last spans to leave, in milliseconds. */
const FLUSH_MS = 1_000;

/**
 * Takes all spans of this process from now on.
 *
 * @param service Its name and version, unless the environment gives others.
 * @returns Sends what is left, and ends it.
 */
export function exportSpans(service: { name: string; version: string }): () => Promise<void> {
  // A collector that is away is worth one line, not one for each batch.
  let isKnown = false;
  const complain = (text: string) => {
    logger[isKnown ? "debug" : "warn"]("spans are lost: {text}", { text: wordsOf(text) });
    isKnown = true;
  };
  const quiet = () => {};
  const levels = { error: complain, warn: complain, info: quiet, debug: quiet, verbose: quiet };
  diag.setLogger(levels, DiagLogLevel.WARN);
  const resource = resourceFromAttributes({
    "service.name": service.name,
    "service.version": service.version,
  }).merge(detectResources({ detectors: [envDetector] }));
  const provider = new BasicTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return async () => {
    let isDone = false;
    const ended = provider.shutdown().then(
      () => isDone = true,
      (error) => complain(messageOf(error)),
    );
    await settledWithin(FLUSH_MS, ended.then(() => {}));
    if (!isDone) complain(`the collector has not taken the last of them within ${FLUSH_MS} ms`);
  };
}

/** The SDK writes an error as JSON, with its stack. */
function wordsOf(text: string): string {
  const message = parseJsonObject(text)?.message;
  return typeof message === "string" ? message : text;
}
