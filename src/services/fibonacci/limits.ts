/**
 * How much a server computes.
 *
 * @module
 */

/** The largest n that is computed by default. */
export const DEFAULT_MAX_N = 1_000_000;

/** An upper bound for a server's `maxN`: BigInt ends at about 2^30 bits, n = 1.5 * 10^9. */
export const MAX_MAX_N = 1_500_000_000;

/** An upper bound for a server's `workers`. */
export const MAX_WORKERS = 1_024;

/** How long one computation may take by default, in milliseconds. */
export const DEFAULT_MAX_TIME_MS = 30_000;
