/**
 * The last minutes of a server, for a page: how many requests, how long they
 * took, which failed.
 *
 * @module
 */
import { build } from "hdr-histogram-js";
import { traceIdOf } from "../protocol/trace_context.ts";
import type { ObservedRequest, RequestOutcome, ServerObserver } from "../rpc/server/observer.ts";

/** How long a sample is, in milliseconds, and how many are kept: ten minutes. */
const SAMPLE_MS = 5_000;
const MAX_SAMPLES = 120;

/** How many failures are kept. */
const MAX_FAILURES = 20;

/** So much of an id is kept: it comes from a caller. */
const MAX_ID = 64;

/** Durations are recorded in microseconds, up to an hour, to one in a hundred. */
const DURATIONS = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 3_600_000_000,
  numberOfSignificantValueDigits: 2,
  bitBucketSize: 32,
  useWebAssembly: false,
} as const;

/** Outcomes that need no operator's eye. */
const EXPECTED: readonly RequestOutcome[] = ["response", "duplicate", "returned"];

/** What happened in one interval. */
export interface Sample {
  /** When it ended, in milliseconds since 1970. */
  readonly at: number;
  /** How long it was, in seconds. */
  readonly seconds: number;
  readonly responses: number;
  /** Requests that ended otherwise. */
  readonly failures: number;
  /** Handling times, in milliseconds; `null` if nothing was handled. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Requests in flight at its end. */
  readonly inFlight: number;
}

/** A request that ended without a response. */
export interface Failure {
  /** When, in milliseconds since 1970. */
  readonly at: number;
  readonly requestId: string | undefined;
  readonly traceId: string | undefined;
  readonly outcome: RequestOutcome;
  /** How long after its delivery, in milliseconds. */
  readonly ms: number;
}

/** Keeps the last ten minutes. */
export class ServerHistory implements ServerObserver {
  readonly #inFlight: () => number;
  readonly #durations = build(DURATIONS);
  readonly #samples: Sample[] = [];
  readonly #failures: Failure[] = [];
  #responses = 0;
  #failed = 0;
  #start = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param inFlight How many requests are in flight. */
  constructor(inFlight: () => number) {
    this.#inFlight = inFlight;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /** The latest first. */
  get failures(): readonly Failure[] {
    return this.#failures;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#sample(), SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  requestSettled(request: ObservedRequest, outcome: RequestOutcome): void {
    const now = performance.now();
    if (request.startedAt !== undefined) this.#record(now - request.startedAt);
    if (outcome === "response") this.#responses += 1;
    else this.#failed += 1;
    if (EXPECTED.includes(outcome)) return;
    if (this.#failures.length === MAX_FAILURES) this.#failures.pop();
    this.#failures.unshift({
      at: Date.now(),
      requestId: request.correlationId?.slice(0, MAX_ID),
      traceId: traceIdOf(request.headers),
      outcome,
      ms: now - request.receivedAt,
    });
  }

  #sample(): void {
    const now = performance.now();
    if (this.#samples.length === MAX_SAMPLES) this.#samples.shift();
    this.#samples.push({
      at: Date.now(),
      seconds: (now - this.#start) / 1000,
      responses: this.#responses,
      failures: this.#failed,
      p50: this.#percentile(50),
      p99: this.#percentile(99),
      inFlight: this.#inFlight(),
    });
    this.#start = now;
    this.#responses = this.#failed = 0;
    this.#durations.reset();
  }

  #record(ms: number): void {
    const { lowestDiscernibleValue, highestTrackableValue } = DURATIONS;
    const us = Math.min(
      Math.max(Math.round(ms * 1_000), lowestDiscernibleValue),
      highestTrackableValue,
    );
    this.#durations.recordValue(us);
  }

  /** In milliseconds. */
  #percentile(percentile: number): number | null {
    if (this.#durations.totalCount === 0) return null;
    return this.#durations.getValueAtPercentile(percentile) / 1_000;
  }
}
