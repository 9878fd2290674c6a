/**
 * What became of the calls of a load: how long they took, how many failed with
 * what, second by second and in all.
 *
 * @module
 */
import { build, type Histogram } from "hdr-histogram-js";
import type { RpcError, RpcErrorCode } from "../../errors.ts";

/** Times are recorded in microseconds, up to an hour, to one in a thousand. */
const TIMES = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 3_600_000_000,
  numberOfSignificantValueDigits: 3,
  bitBucketSize: 32,
  useWebAssembly: false,
} as const;

/** The percentiles of a report. */
export const PERCENTILES = { p50: 50, p90: 90, p99: 99, "p99.9": 99.9, max: 100 } as const;

/** Times in milliseconds. */
export type Percentiles = Readonly<Record<keyof typeof PERCENTILES, number>>;

/** One second of a load. */
export interface Second {
  /** Since measuring began: 1 is the first. */
  readonly second: number;
  readonly sent: number;
  readonly answered: number;
  readonly errors: number;
  /** In milliseconds, since they were due; `null` if nothing was answered. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Requests that waited in the queue at its end; `null` is unknown. */
  readonly waiting: number | null;
}

/** All of it. */
export interface Recorded {
  /** How long was measured, in seconds. */
  readonly seconds: number;
  readonly sent: number;
  readonly answered: number;
  /** Those of `answered` that were in flight at the end, and waited for. */
  readonly answeredAfter: number;
  /** Calls that failed, by the code of their error. */
  readonly errors: Readonly<Partial<Record<RpcErrorCode, number>>>;
  /** The first error's message. */
  readonly firstError: string | undefined;
  /** Calls that were due and not made before the end. */
  readonly heldBack: number;
  /** Whether they were for so many in flight, and not for this process being too slow. */
  readonly isHeldByLimit: boolean;
  /** Calls that were answered while it was measured, those of the warm-up too. */
  readonly answeredWithin: number;
  /** Of those answered, since they were due; equal to `sentMs` in the closed model. */
  readonly dueMs: Percentiles | undefined;
  /** Of those answered, since they were made. */
  readonly sentMs: Percentiles | undefined;
}

/** A call that has ended. */
export interface Settled {
  /** When it should have been made, as `performance.now()` counts. */
  readonly due: number;
  /** When it was made. */
  readonly sent: number;
  readonly now: number;
  /** Whether it was made after the warm-up. */
  readonly isMeasured: boolean;
  readonly error: RpcError | undefined;
}

/** See the module. */
export class Recorder {
  readonly #due: Histogram = build(TIMES);
  readonly #sentTimes: Histogram = build(TIMES);
  readonly #lately: Histogram = build(TIMES);
  readonly #errors = new Map<RpcErrorCode, number>();
  #firstError: string | undefined;
  #start = Infinity;
  #end = Infinity;
  #sent = 0;
  #answered = 0;
  #answeredAfter = 0;
  #failed = 0;
  #heldBack = 0;
  #isHeldByLimit = false;
  #answeredWithin = 0;
  #before = { sent: 0, answered: 0, failed: 0 };

  /** Measuring lasts from `start` to `end`, as `performance.now()` counts. */
  begin(start: number, end: number): void {
    this.#start = start;
    this.#end = end;
  }

  end(at: number): void {
    this.#end = at;
  }

  sent(): void {
    this.#sent += 1;
  }

  heldBack(count: number, isByLimit: boolean): void {
    this.#heldBack = count;
    this.#isHeldByLimit = isByLimit;
  }

  settled({ due, sent, now, isMeasured, error }: Settled): void {
    if (error === undefined && now >= this.#start && now <= this.#end) this.#answeredWithin += 1;
    if (!isMeasured) return;
    if (error !== undefined) {
      this.#failed += 1;
      this.#errors.set(error.code, (this.#errors.get(error.code) ?? 0) + 1);
      this.#firstError ??= error.message;
      return;
    }
    this.#answered += 1;
    if (now > this.#end) this.#answeredAfter += 1;
    const [sinceDue, sinceSent] = [microseconds(now - due), microseconds(now - sent)];
    this.#due.recordValue(sinceDue);
    this.#sentTimes.recordValue(sinceSent);
    this.#lately.recordValue(sinceDue);
  }

  /** Whether nothing more is made, and what is in flight is waited for. */
  get isOver(): boolean {
    return performance.now() > this.#end;
  }

  /** What happened since the last time this was asked. */
  second(second: number, waiting: number | null): Second {
    const { sent, answered, failed } = this.#before;
    const lately = percentilesOf(this.#lately);
    this.#before = { sent: this.#sent, answered: this.#answered, failed: this.#failed };
    this.#lately.reset();
    return {
      second,
      sent: this.#sent - sent,
      answered: this.#answered - answered,
      errors: this.#failed - failed,
      p50: lately?.p50 ?? null,
      p99: lately?.p99 ?? null,
      waiting,
    };
  }

  result(): Recorded {
    return {
      seconds: Math.max(this.#end - this.#start, 0) / 1_000,
      sent: this.#sent,
      answered: this.#answered,
      answeredAfter: this.#answeredAfter,
      errors: Object.fromEntries(this.#errors),
      firstError: this.#firstError,
      heldBack: this.#heldBack,
      isHeldByLimit: this.#isHeldByLimit,
      answeredWithin: this.#answeredWithin,
      dueMs: percentilesOf(this.#due),
      sentMs: percentilesOf(this.#sentTimes),
    };
  }

  /** The curve of all percentiles since they were due: percentile and milliseconds. */
  curve(): readonly (readonly [percentile: number, ms: number])[] {
    if (this.#due.totalCount === 0) return [];
    const { maxValue } = this.#due;
    return CURVE.map((at) => [at, Math.min(this.#due.getValueAtPercentile(at), maxValue) / 1_000]);
  }
}

/** Ten to each ten times rarer. */
const CURVE: readonly number[] = [1, 0.1, 0.01, 0.001].flatMap((tail) =>
  Array.from({ length: 9 }, (_, i) => 100 - tail * 100 + tail * 10 * i)
).concat(99.99, 99.999, 100);

function microseconds(ms: number): number {
  const us = Math.round(ms * 1_000);
  return Math.min(Math.max(us, TIMES.lowestDiscernibleValue), TIMES.highestTrackableValue);
}

function percentilesOf(histogram: Histogram): Percentiles | undefined {
  if (histogram.totalCount === 0) return undefined;
  return Object.fromEntries(
    Object.entries(PERCENTILES).map(([name, at]) => [
      name,
      // It rounds up, also beyond the greatest.
      Math.min(histogram.getValueAtPercentile(at), histogram.maxValue) / 1_000,
    ]),
  ) as Record<keyof typeof PERCENTILES, number>;
}
