/**
 * A connection's bytes, by the shortest way that the runtime has.
 *
 * `node:net` runs everywhere and is the fallback. But loading it with its
 * streams, and its first connection, take 5 ms of a one-shot call's 20 on
 * Bun, and 10 of 60 on Deno: there the runtime's own sockets are used. Once
 * connected they are as fast as each other. TLS is always `node:tls`: its
 * errors are the ones that `tls_failure.ts` knows.
 *
 * @module
 */
import { bunSocket, type BunSockets } from "./bun.ts";
import { denoSocket } from "./deno.ts";
import { nodeSocket } from "./node.ts";
import type { Endpoint, Socket, SocketEvents } from "./socket.ts";

/**
 * Connects.
 *
 * @param signal Gives up; the promise rejects, or the socket is closed, some time later.
 */
export function openSocket(
  to: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  const { Bun, Deno } = globalThis as { Bun?: BunSockets; Deno?: typeof globalThis.Deno };
  if (to.tls !== undefined) return nodeSocket(to, events, signal);
  if (Bun !== undefined) return bunSocket(Bun, to, events, signal);
  if (Deno !== undefined) return denoSocket(to, events, signal);
  return nodeSocket(to, events, signal);
}
