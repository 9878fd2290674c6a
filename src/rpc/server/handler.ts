/**
 * Handlers, and what they are given of a request.
 *
 * @module
 */
import type { MessageHeader } from "../../amqp/message.ts";
import type { ReceivedRequest } from "./request.ts";

/**
 * Computes a response, or gives a promise of one (anything with a `then`
 * method). An `RpcError` it throws reaches the caller, anything else but a
 * {@linkcode RequeueError} as `internal`.
 */
export type RpcHandler<Input, Output> = (
  input: Input,
  context: HandlerContext,
) => Output | PromiseLike<Output>;

/**
 * A handler throws it when it can't work at present, whatever the request: that
 * goes back to its queue, for another server or for later. The same server may
 * get it again at once, so a handler waits before it throws.
 */
export class RequeueError extends Error {
  /** @ignore */
  override readonly name = "RequeueError";
}

/** Knows one of another copy of this package too: a program may have two. */
export function isRequeue(thrown: unknown): thrown is RequeueError {
  return thrown instanceof Error && thrown.name === "RequeueError";
}

/**
 * What a handler may know of a request besides its input. It can be copied and
 * taken apart, and holds no part of the connection.
 */
export interface HandlerContext {
  /**
   * Aborts when the result is of no use any more: the request's time is up,
   * or `maxTimeMs`, or the connection it came by is gone, or the server gives up
   * waiting.
   */
  readonly signal: AbortSignal;
  /** The request's correlation id, if it has one. */
  readonly correlationId: string | undefined;
  /** The MIME type of the request's body, if it has one. */
  readonly contentType: string | undefined;
  /** The request's headers. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** What a handler writes here becomes headers of the reply, whether that is a response or an error. */
  readonly replyHeaders: Record<string, MessageHeader>;
  /** Whether the request was delivered before, and not acknowledged. */
  readonly redelivered: boolean;
  /**
   * How long the caller waits from now on, in milliseconds; `undefined` if the
   * request has no `expiration`, or one of 0. It is counted from the delivery: a
   * server can't see how long a request waited in the queue. It grows when the
   * caller sends the same call again.
   */
  timeLeftMs(): number | undefined;
  /**
   * Looks whether anybody still listens at the request's reply address: two
   * round trips to the broker, for a handler to make before expensive work.
   * `true`: nobody does, and whatever the handler gives is not sent.
   */
  isCallerGone(): Promise<boolean>;
}

/**
 * Makes a context for a unit test of a handler.
 *
 * @example
 * ```ts
 * import { createHandlerContext, type RpcHandler } from "@fibrpc/fibrpc";
 *
 * const shout: RpcHandler<string, string> = (text, { headers }) =>
 *   text.toUpperCase() + String(headers["x-end"] ?? "!");
 *
 * console.log(shout("hey", createHandlerContext({ headers: { "x-end": "?" } }))); // HEY?
 * ```
 * @param parts What it holds. Default: a request without an id, headers or a
 * deadline, whose caller waits.
 */
export function createHandlerContext(parts: Partial<HandlerContext> = {}): HandlerContext {
  return {
    signal: new AbortController().signal,
    correlationId: undefined,
    contentType: undefined,
    headers: {},
    replyHeaders: {},
    redelivered: false,
    timeLeftMs: () => undefined,
    isCallerGone: () => Promise.resolve(false),
    ...parts,
  };
}

const NO_HEADERS: Readonly<Record<string, unknown>> = Object.freeze({});

/**
 * The context of a request. Its properties are made when they are asked for,
 * because most handlers ask for none: a getter of its own costs each request
 * 3 us, half of what a server takes for a call, a proxy a tenth of that.
 */
class LazyContext implements HandlerContext {
  readonly #request: ReceivedRequest;

  constructor(request: ReceivedRequest) {
    this.#request = request;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get correlationId(): string | undefined {
    return this.#request.message.properties.correlationId;
  }

  get contentType(): string | undefined {
    return this.#request.message.properties.contentType;
  }

  get headers(): Readonly<Record<string, unknown>> {
    return this.#request.message.properties.headers ?? NO_HEADERS;
  }

  get replyHeaders(): Record<string, MessageHeader> {
    return this.#request.replyHeaders ??= {};
  }

  get redelivered(): boolean {
    return this.#request.redelivered;
  }

  get timeLeftMs(): () => number | undefined {
    return () => {
      const { deadline } = this.#request;
      return deadline === undefined ? undefined : Math.max(deadline - performance.now(), 0);
    };
  }

  get isCallerGone(): () => Promise<boolean> {
    return () => this.#request.isCallerGone();
  }
}

const KEYS: readonly string[] = [
  "signal",
  "correlationId",
  "contentType",
  "headers",
  "replyHeaders",
  "redelivered",
  "timeLeftMs",
  "isCallerGone",
];

/** Lets the getters of the class look like the properties of an object. */
const OWN_PROPERTIES: ProxyHandler<LazyContext> = {
  get: (context, key) => Reflect.get(context, key),
  ownKeys: () => [...KEYS],
  getOwnPropertyDescriptor: (context, key) =>
    KEYS.includes(key as string)
      ? { value: Reflect.get(context, key), enumerable: true, configurable: true }
      : undefined,
};

export function contextOf(request: ReceivedRequest): HandlerContext {
  return new Proxy(new LazyContext(request), OWN_PROPERTIES);
}
