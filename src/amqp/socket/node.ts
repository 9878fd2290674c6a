/**
 * Sockets of `node:net` and `node:tls`.
 *
 * @module
 */
import type { Endpoint, Socket, SocketEvents } from "./socket.ts";

export async function nodeSocket(
  { address: host, port, tls }: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  const connect = tls === undefined ? await plainConnect() : await tlsConnect(tls);
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host, port, noDelay: true }, () => {
    socket.setNoDelay(true); // Not every runtime heeds the option.
    socket.on("data", events.data);
    resolve({
      write: (bytes) => void socket.write(bytes),
      get waitingBytes() {
        return socket.writableLength;
      },
      destroy: () => void socket.destroy(),
    });
  });
  let reason: Error | undefined;
  socket.on("error", (error) => reason = error);
  socket.on("close", () => {
    signal.removeEventListener("abort", abort);
    reject(reason ?? new Error("the connection was closed"));
    events.close(reason);
  });
  const abort = () => socket.destroy();
  signal.addEventListener("abort", abort);
  return await promise;
}

async function plainConnect() {
  const { connect } = await import("node:net");
  return connect;
}

async function tlsConnect({ host, options }: NonNullable<Endpoint["tls"]>) {
  const [{ connect }, { tlsConnectOptions }] = await Promise.all([
    import("node:tls"),
    import("./tls.ts"),
  ]);
  const tls = tlsConnectOptions(host, options);
  return (to: { host: string; port: number; noDelay: boolean }, connected: () => void) =>
    connect({ ...tls, ...to }, connected);
}
