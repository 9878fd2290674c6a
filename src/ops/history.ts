/**
 * The last minutes of a server, for a page: how many requests, how long they
 * took, which failed.
 *
 * @module
 */
import { traceIdOf } from "../protocol/trace_context.ts";
import type { ObservedRequest, RequestOutcome, ServerObserver } from "../rpc/server/observer.ts";

/** How long a sample is, in milliseconds, and how many are kept: ten minutes. */
const SAMPLE_MS = 5_000;
const MAX_SAMPLES = 120;

/** How many failures are kept. */
const MAX_FAILURES = 20;

/** So much of an id is kept: it comes from a caller. */
const MAX_ID = 64;

/** Durations are counted in classes, each so much longer than the one before; the first ends at 1 us. */
const GROWTH = 1.1;
const SHORTEST_MS = 0.001;
const CLASSES = 240;

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
  /** Requests in hand at its end. */
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
  readonly #classes = new Uint32Array(CLASSES);
  readonly #samples: Sample[] = [];
  readonly #failures: Failure[] = [];
  #responses = 0;
  #failed = 0;
  #start = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param inFlight How many requests are in hand. */
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
    if (request.startedAt !== undefined) this.#classes[classOf(now - request.startedAt)]! += 1;
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
      p50: this.#percentile(0.5),
      p99: this.#percentile(0.99),
      inFlight: this.#inFlight(),
    });
    this.#start = now;
    this.#responses = this.#failed = 0;
    this.#classes.fill(0);
  }

  #percentile(share: number): number | null {
    const count = this.#classes.reduce((sum, count) => sum + count, 0);
    if (count === 0) return null;
    let left = Math.ceil(count * share);
    const index = this.#classes.findIndex((count) => (left -= count) <= 0);
    return SHORTEST_MS * GROWTH ** index;
  }
}

function classOf(ms: number): number {
  const index = Math.ceil(Math.log(ms / SHORTEST_MS) / Math.log(GROWTH));
  return Math.min(Math.max(index, 0), CLASSES - 1);
}
