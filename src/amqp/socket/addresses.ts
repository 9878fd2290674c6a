/**
 * Where a broker's host name leads.
 *
 * @module
 */
import { within } from "../../time.ts";

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
  if (isAddress(host)) return [host];
  if (host === "localhost") return LOOPBACK;
  return await within(addressesOf(host), timeoutMs, signal, "no answer from DNS");
}

/** RFC 3986, section 3.2.2; no host name has a colon. */
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/;

/** Whether a host is an IP address, and not a name. */
export function isAddress(host: string): boolean {
  return host.includes(":") || IPV4.test(host);
}

/** RFC 6761: `localhost` is loopback, of whichever family, whatever a hosts file says. */
const LOOPBACK = ["127.0.0.1", "::1"];

async function addressesOf(host: string): Promise<string[]> {
  const { lookup } = await import("node:dns/promises"); // Half a millisecond, for a name only.
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}
