/**
 * A collector of spans, for tests.
 *
 * @module
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: number };
}

export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: Attribute[];
  events: { name: string }[];
  status: { code?: number };
}

/** OTLP's numbers: https://opentelemetry.io/docs/specs/otlp/ */
export const SERVER = 2;
export const CLIENT = 3;
export const ERROR = 2;

/** Receives spans as a collector does. */
export async function startReceiver(): Promise<{ url: string; spans: Span[] } & AsyncDisposable> {
  const spans: Span[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    // Deno's own SDK sends logs and metrics too.
    const traces = request.url === "/v1/traces" ? JSON.parse(body).resourceSpans : [];
    for (const { scopeSpans } of traces) {
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    response.setHeader("content-type", "application/json").end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function attributes({ attributes }: Span): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]),
  );
}
