/**
 * Where a broker's host name leads.
 *
 * @module
 */
import { isIP } from "node:net";
import { pause } from "./backoff.ts";

/**
 * The addresses of a host. A resolver that doesn't answer takes its own time;
 * nobody waits for it here.
 *
 * @param timeoutMs For how long at the most, in milliseconds.
 * @param signal Gives up early.
 */
export async function addressesWithin(
  host: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string[]> {
  const stop = new AbortController();
  const late = pause(timeoutMs, AbortSignal.any([signal, stop.signal])).then(() => {
    signal.throwIfAborted();
    throw new Error(`no answer from DNS within ${Math.round(timeoutMs)} ms`);
  });
  late.catch(() => {}); // After the race.
  const found = addressesOf(host);
  found.catch(() => {});
  try {
    return await Promise.race([found, late]);
  } finally {
    stop.abort();
  }
}

/** RFC 6761: `localhost` is loopback, of whichever family, whatever a hosts file says. */
const LOOPBACK = ["127.0.0.1", "::1"];

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  if (host === "localhost") return LOOPBACK;
  const { lookup } = await import("node:dns/promises"); // Half a millisecond, for a name only.
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}
