/**
 * Bun's own sockets.
 *
 * @module
 */
import { type Endpoint, failure, type Socket, type SocketEvents } from "./socket.ts";

/** The part of Bun's API that is used here. */
export interface BunSockets {
  connect(options: {
    hostname: string;
    port: number;
    socket: {
      data(socket: BunSocket, bytes: Uint8Array): void;
      drain(socket: BunSocket): void;
      close(socket: BunSocket, error?: Error): void;
    };
  }): Promise<BunSocket>;
}

export interface BunSocket {
  /** Returns how many bytes the system took, or -1 if it is closed. */
  write(bytes: Uint8Array): number;
  setNoDelay(noDelay: boolean): void;
  terminate(): void;
}

export async function bunSocket(
  bun: BunSockets,
  { address, port }: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  /** Bytes that the system has not accepted yet. */
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  const write = (to: BunSocket, bytes: Uint8Array): void => {
    const taken = waiting.length > 0 ? 0 : to.write(bytes);
    if (taken < 0 || taken === bytes.length) return;
    waiting.push(bytes.subarray(taken));
    waitingBytes += bytes.length - taken;
  };
  let socket: BunSocket;
  try {
    socket = await bun.connect({
      hostname: address,
      port,
      socket: {
        data: (_, bytes) => events.data(bytes),
        drain(drained) {
          waitingBytes = 0;
          for (const bytes of waiting.splice(0)) write(drained, bytes);
        },
        close: (_, error) => events.close(error && failure(error, (code) => `read ${code}`)),
      },
    });
  } catch (error) {
    throw failure(error, (code) => `connect ${code} ${address}:${port}`);
  }
  if (signal.aborted) {
    socket.terminate();
    throw signal.reason;
  }
  socket.setNoDelay(true);
  return {
    write: (bytes) => write(socket, bytes),
    get waitingBytes() {
      return waitingBytes;
    },
    destroy: () => socket.terminate(),
  };
}
