/**
 * Spans of calls and requests, through OpenTelemetry's API: whoever has set up
 * its SDK gets them. Names and attributes follow its conventions for messaging
 * (https://opentelemetry.io/docs/specs/semconv/messaging/).
 *
 * @module
 */
import {
  type Attributes,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
  type TracerProvider,
} from "@opentelemetry/api";
import { RpcError } from "../errors.ts";
import type { ClientInterceptor } from "../rpc/client/interceptor.ts";
import { isRequeue } from "../rpc/server/handler.ts";
import type { ServerInterceptor } from "../rpc/server/interceptor.ts";
import { messageOf } from "../text.ts";

/** Settings of {@linkcode traceCalls} and {@linkcode traceRequests}. */
export interface TracingOptions {
  /** Makes the spans. Default: the one that is registered globally when the first span is made. */
  readonly tracerProvider?: TracerProvider;
}

const TRACER = "fibrpc";

/** Events, with what they say. */
const EVENT = {
  sentAgain: "sent again",
  redelivered: "redelivered",
  requeued: "given back to the queue",
  late: "too late: nobody waits for the reply",
} as const;

/** Headers that are not text are no context. */
const HEADERS: TextMapGetter<Readonly<Record<string, unknown>>> = {
  keys: (headers) => Object.keys(headers),
  get(headers, name) {
    const value = headers[name];
    return typeof value === "string" ? value : undefined;
  },
};

/**
 * Makes a CLIENT span of each call, from its beginning to its reply, and sends
 * its context along in the headers `traceparent` and `tracestate`.
 *
 * The parent is the active span or, without one, the context in the call's own headers.
 *
 * @example
 * ```ts
 * import { RpcClient } from "@fibrpc/fibrpc/client";
 * import { traceCalls } from "@fibrpc/fibrpc/tracing";
 *
 * export function newClient(url: string): RpcClient {
 *   return new RpcClient({ url, interceptors: [traceCalls()] });
 * }
 * ```
 */
export function traceCalls({ tracerProvider = trace }: TracingOptions = {}): ClientInterceptor {
  return async (call, next) => {
    const { service: { queue }, broker, options } = call;
    const active = context.active();
    const parent = trace.getSpan(active) === undefined
      ? propagation.extract(active, options.headers ?? {}, HEADERS)
      : active;
    const attributes = attributesOf(queue, broker, "send");
    const kind = SpanKind.CLIENT;
    const span = tracerProvider.getTracer(TRACER)
      .startSpan(`call ${queue}`, { kind, attributes }, parent);
    const within = trace.setSpan(parent, span);
    const headers = { ...options.headers };
    propagation.inject(within, headers);
    const observer: typeof options.observer = {
      requestSent(id, attempt) {
        if (attempt === 1) span.setAttribute("messaging.message.conversation_id", id);
        else span.addEvent(EVENT.sentAgain, { attempt });
        options.observer?.requestSent?.(id, attempt);
      },
      requestHeld(id, reason) {
        span.addEvent(reason);
        options.observer?.requestHeld?.(id, reason);
      },
    };
    try {
      const traced = { ...call, options: { ...options, headers, observer } };
      return await context.with(within, () => next(traced));
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  };
}

/**
 * Makes a SERVER span of each request while its handler is at work, as a child of
 * the caller's. It is the active one for the handler, where the SDK keeps track
 * of that; a handler's context has it in its headers, and so has the reply.
 *
 * @example
 * ```ts
 * import { RpcServer } from "@fibrpc/fibrpc/server";
 * import { traceRequests } from "@fibrpc/fibrpc/tracing";
 *
 * export function newServer(url: string): RpcServer {
 *   return new RpcServer({ url, interceptors: [traceRequests()] });
 * }
 * ```
 */
export function traceRequests({ tracerProvider = trace }: TracingOptions = {}): ServerInterceptor {
  return async (request, next) => {
    const { service: { queue }, broker, context: about } = request;
    const parent = propagation.extract(ROOT_CONTEXT, about.headers, HEADERS);
    const attributes = attributesOf(queue, broker, "process");
    const { correlationId: id } = about;
    if (id !== undefined) attributes["messaging.message.conversation_id"] = id;
    const kind = SpanKind.SERVER;
    const span = tracerProvider.getTracer(TRACER)
      .startSpan(`process ${queue}`, { kind, attributes }, parent);
    if (about.redelivered) span.addEvent(EVENT.redelivered);
    const within = trace.setSpan(parent, span);
    const own: Record<string, string> = {};
    propagation.inject(within, own);
    Object.assign(about.replyHeaders, own);
    const { signal, timeLeftMs } = about;
    try {
      const headers = { ...about.headers, ...own };
      const traced = { ...request, context: { ...about, headers } };
      return await context.with(within, () => next(traced));
    } catch (error) {
      if (isRequeue(error)) span.addEvent(EVENT.requeued);
      else fail(span, signal.reason instanceof RpcError ? signal.reason : error);
      throw error;
    } finally {
      if (timeLeftMs() === 0) span.addEvent(EVENT.late);
      span.end();
    }
  };
}

function attributesOf(queue: string, broker: string, operation: "send" | "process"): Attributes {
  const port = broker.lastIndexOf(":");
  return {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": operation === "send" ? "call" : operation,
    "messaging.operation.type": operation,
    "messaging.destination.name": queue,
    "messaging.rabbitmq.destination.routing_key": queue,
    "server.address": broker.slice(0, port).replace(/^\[|\]$/g, ""),
    "server.port": Number(broker.slice(port + 1)),
  };
}

/** A failure that is not an error of fibrpc's reaches callers as `internal`. */
function fail(span: Span, error: unknown): void {
  span.setAttribute("error.type", error instanceof RpcError ? error.code : "internal");
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
}
