/**
 * Settings of one call.
 *
 * @module
 */
import type { MessageHeader } from "../../amqp/message.ts";
import type { CallObserver } from "./observer.ts";

/** Settings of one call. */
export interface CallOptions {
  /** How long it may take in all, in milliseconds. Default: the client's `timeoutMs`. */
  timeoutMs?: number;
  /** Gives the call up: it rejects with `cancelled`. */
  signal?: AbortSignal;
  /** Whether it may run more than once. Default: the service's `idempotent`. */
  idempotent?: boolean;
  /** Headers of the request, beside what fibrpc sends. */
  headers?: Record<string, MessageHeader>;
  /** Is called with what becomes of its request. */
  observer?: CallObserver;
}
