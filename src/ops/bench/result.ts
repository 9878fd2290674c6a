/**
 * What a benchmark has found, and what that means.
 *
 * @module
 */
import type { Condition } from "./condition.ts";
import type { Extent, Pace } from "./load.ts";
import type { Recorded, Second } from "./recorder.ts";

/** An open load is told from its rate if it makes so much less of it. */
const REACHED = 0.95;

/** From so much of a processor on, this process may be what limits. */
const BUSY = 0.9;

/** Where the calls went. */
export interface Target {
  readonly broker: string;
  /** Such as `RabbitMQ 4.3.6`. */
  readonly product: string | undefined;
  readonly queue: string;
  /** `null` is unknown. */
  readonly consumers: number | null;
  /** Whether the server is this process. */
  readonly isOwn: boolean;
  /** A round trip to the broker, in milliseconds. */
  readonly roundTripMs: number;
}

/** How they were made. */
export interface BenchSettings {
  readonly pace: Pace;
  readonly extent: Extent;
  readonly warmUpMs: number;
  readonly connections: number;
  readonly timeoutMs: number;
  /** What was called with, in words. */
  readonly input: string;
}

export interface BenchResult {
  readonly target: Target;
  readonly settings: BenchSettings;
  readonly recorded: Recorded;
  readonly seconds: readonly Second[];
  /** Percentiles, and the milliseconds since due that they are. */
  readonly curve: readonly (readonly [percentile: number, ms: number])[];
  /** Of this process while it was measured. */
  readonly client: { readonly cpu: number; readonly rssMb: number };
  /** The conditions that it failed, as they were given. */
  readonly failed: readonly string[];
  /** Whether it was ended early. */
  readonly interrupted: boolean;
}

/** Which conditions hold that must not. */
export function failures(conditions: readonly Condition[], recorded: Recorded): string[] {
  return conditions.filter((condition) => condition.holds(recorded)).map(({ text }) => text);
}

/** Calls made a second. */
export function sentPerSecond({ recorded: { sent, seconds } }: BenchResult): number {
  return seconds === 0 ? 0 : sent / seconds;
}

/** Whether the rate that was asked for was made. */
export function reachedRate(result: BenchResult): boolean {
  const { pace } = result.settings;
  return pace.model === "closed" || sentPerSecond(result) >= pace.rate * REACHED;
}

/** Whether this process used about all of a processor, for long enough to tell. */
export function isBusy({ client, recorded: { seconds } }: BenchResult): boolean {
  return client.cpu >= BUSY && seconds >= 1;
}

/** Whether the generator itself may be what limits. */
export function isBottleneck(result: BenchResult): boolean {
  const { heldBack, isHeldByLimit } = result.recorded;
  return isBusy(result) || heldBack > 0 && !isHeldByLimit;
}

/** The most requests that waited in the queue at any look; `null` if none was seen. */
export function maxWaiting({ seconds }: BenchResult): number | null {
  const seen = seconds.map(({ waiting }) => waiting).filter((waiting) => waiting !== null);
  return seen.length === 0 ? null : Math.max(...seen);
}
