/**
 * Free ports for servers that can't choose their own.
 *
 * @module
 */

/**
 * Below what Linux (32768) and macOS (49152) give to outgoing connections: a
 * port of theirs could be taken by any client while its server restarts, and
 * a client that keeps connecting to one can even end up connected to itself.
 */
const FIRST = 20_000;
const LAST = 32_767;

const HOSTNAMES = ["127.0.0.1", "::1"];

/**
 * Finds ports that nobody listens on just now. Somebody may a moment later:
 * be ready to try again with others.
 */
export function freePorts(count: number): number[] {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (HOSTNAMES.every((hostname) => isFree(port, hostname))) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number, hostname: string): boolean {
  try {
    Deno.listen({ port, hostname }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    // A machine without IPv6.
    if (error instanceof Deno.errors.AddrNotAvailable) return true;
    throw error;
  }
}
