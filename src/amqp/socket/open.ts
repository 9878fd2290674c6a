/**
 * A connection's bytes, by the shortest way that the runtime has.
 *
 * `node:net` runs everywhere and is the fallback. But loading it with its
 * streams, and its first connection, take 5 ms of a one-shot call's 20 on
 * Bun, and 10 of 60 on Deno: there the runtime's own sockets are used (on Bun
 * for calls only). Once connected they are as fast as each other. TLS is always `node:tls`: its
 * errors are the ones that `tls_failure.ts` knows.
 *
 * @module
 */
import { bunSocket, type BunSockets } from "./bun.ts";
import { denoSocket } from "./deno.ts";
import { nodeSocket } from "./node.ts";
import type { Endpoint, Socket, SocketEvents } from "./socket.ts";

let attemptsMayLinger = false;

/**
 * For a process that ends itself when it is done: Bun can't give up one of its
 * own attempts to connect, and one to a host that doesn't answer would keep a
 * process alive for two minutes. Until this is called, `node:net` is used there.
 */
export function letAttemptsLinger(): void {
  attemptsMayLinger = true;
}

/**
 * Connects.
 *
 * @param signal Gives up: the promise rejects, and no connection is left.
 */
export function openSocket(
  to: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  const { Bun, Deno } = globalThis as { Bun?: BunSockets; Deno?: typeof globalThis.Deno };
  if (to.tls !== undefined) return nodeSocket(to, events, signal);
  if (Bun !== undefined && attemptsMayLinger) return bunSocket(Bun, to, events, signal);
  if (Deno !== undefined) return denoSocket(to, events, signal);
  return nodeSocket(to, events, signal);
}
