/**
 * Makes calls at a pace, and tells a recorder what became of each.
 *
 * Two models: a *closed* one keeps so many calls in flight, and makes the next
 * when one ends; it finds out how much there can be, and slows down with what
 * it measures. An *open* one makes so many calls a second whether or not others
 * have ended, as callers do that know nothing of each other. There a call's time
 * counts from when it was due: a server that stalls delays all that were due
 * meanwhile, and each of them is counted.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { pause } from "../../time.ts";
import type { Recorder } from "./recorder.ts";

/** How the calls follow each other. */
export type Pace =
  | { readonly model: "closed"; readonly inFlight: number }
  | {
    readonly model: "open";
    /** Calls a second. */
    readonly rate: number;
    /** What is due beyond so many in flight waits: memory is finite. */
    readonly inFlight: number;
  };

/** When to end: after a time, or after so many calls. */
export type Extent = { readonly forMs: number } | { readonly calls: number };

export interface LoadOptions {
  readonly pace: Pace;
  readonly extent: Extent;
  /** Calls for so long before those that are measured, in milliseconds. */
  readonly warmUpMs: number;
  /** Makes one call; `index` counts from 0. */
  readonly call: (index: number) => Promise<unknown>;
  readonly recorder: Recorder;
  /** Ends it early: no more calls, and those in flight are waited for. */
  readonly signal: AbortSignal;
}

/** An open model looks at the clock so often, in milliseconds: what timers can do. */
const TICK_MS = 1;

/** What the sums of floating-point numbers may be off by, in calls. */
const ROUNDING = 1e-6;

/** Calls of one turn of the event loop: replies are read between two of them. */
const MAX_BURST = 512;

/**
 * Runs the warm-up and what is measured, without a gap between.
 *
 * @returns When all calls have ended, or at once when it is ended early.
 */
export async function runLoad(options: LoadOptions): Promise<void> {
  const { warmUpMs, extent, pace, recorder } = options;
  const load = new Load(options);
  const first = performance.now();
  const start = first + warmUpMs;
  const run = (phase: Phase) =>
    pace.model === "closed" ? load.runClosed(phase, pace) : load.runOpen(phase, pace);
  await run({ isMeasured: false, begin: first, end: start, calls: Infinity });
  if (options.signal.aborted) return;
  const begin = Math.max(start, performance.now());
  const end = "forMs" in extent ? begin + extent.forMs : Infinity;
  recorder.begin(begin, end);
  const calls = "calls" in extent ? extent.calls : Infinity;
  await run({ isMeasured: true, begin, end, calls });
  // So many calls have been made when the last one has ended, a time is over when it is.
  if ("calls" in extent) await load.settled();
  recorder.end(Math.min(performance.now(), end));
  await load.settled();
}

/** A part of a load: until a time, or for so many calls. */
interface Phase {
  readonly isMeasured: boolean;
  /** As `performance.now()` counts. */
  readonly begin: number;
  readonly end: number;
  readonly calls: number;
}

class Load {
  readonly #options: LoadOptions;
  #index = 0;
  #inFlight = 0;
  /** Goes on with what waits for one more to end. */
  #wake: () => void = () => {};

  constructor(options: LoadOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** Goes on where the last phase ended: its calls are in flight still. */
  async runClosed(phase: Phase, { inFlight }: Extract<Pace, { model: "closed" }>): Promise<void> {
    const { end, calls, isMeasured } = phase;
    let left = calls;
    for (let now = performance.now(); now < end && left > 0; now = performance.now()) {
      if (this.#options.signal.aborted) return;
      while (this.#inFlight < inFlight && left > 0) {
        left -= 1;
        const sent = performance.now();
        void this.#call(sent, sent, isMeasured);
      }
      if (!this.#options.signal.aborted) await this.#oneEnded();
    }
  }

  async runOpen(phase: Phase, { rate, inFlight }: Extract<Pace, { model: "open" }>): Promise<void> {
    const { begin, end, isMeasured } = phase;
    const { signal, recorder } = this.#options;
    // The last one is due before the end, not at it.
    const calls = Math.min(phase.calls, Math.ceil((end - begin) / 1_000 * rate - ROUNDING));
    let made = 0;
    for (let now = performance.now();; now = performance.now()) {
      const due = Math.min(Math.floor((now - begin) / 1_000 * rate) + 1, calls);
      for (let i = 0; i < MAX_BURST && made < due && this.#inFlight < inFlight; i++) {
        const dueAt = begin + made / rate * 1_000;
        made += 1;
        void this.#call(dueAt, performance.now(), isMeasured);
      }
      if (signal.aborted || now >= end || made === phase.calls) {
        if (isMeasured) recorder.heldBack(due - made, this.#inFlight >= inFlight);
        return;
      }
      // Its timers round up, and replies are read meanwhile.
      if (this.#inFlight >= inFlight) await this.#oneEnded();
      else await pause(TICK_MS, signal);
    }
  }

  /** Waits for what is in flight. */
  async settled(): Promise<void> {
    while (this.#inFlight > 0 && !this.#options.signal.aborted) await this.#oneEnded();
  }

  /** Also when it is to end early. */
  #oneEnded(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  async #call(due: number, sent: number, isMeasured: boolean): Promise<void> {
    const { call, recorder } = this.#options;
    this.#inFlight += 1;
    if (isMeasured) recorder.sent();
    let error: RpcError | undefined;
    try {
      await call(this.#index++);
    } catch (thrown) {
      error = RpcError.from(thrown);
    }
    this.#inFlight -= 1;
    recorder.settled({ due, sent, now: performance.now(), isMeasured, error });
    this.#wake();
  }
}
