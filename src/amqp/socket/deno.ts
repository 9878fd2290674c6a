/**
 * Deno's own sockets.
 *
 * @module
 */
import { type Endpoint, failure, type Socket, type SocketEvents } from "./socket.ts";

/** Read at once at most, in bytes: as much as `node:net` does. */
const READ_BYTES = 65_536;

/** See {@linkcode openSocket}. */
export async function denoSocket(
  { address: hostname, port }: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  // A signal of Deno's own makes it forget a connection that was made meanwhile.
  const giveUp = new AbortController();
  giveUp.signal.throwIfAborted = () => {};
  const abort = () => giveUp.abort();
  signal.addEventListener("abort", abort);
  let connection: Deno.TcpConn;
  try {
    connection = await Deno.connect({ hostname, port, signal: giveUp.signal });
  } catch (error) {
    throw failure(error, (code) => `connect ${code} ${hostname}:${port}`);
  } finally {
    signal.removeEventListener("abort", abort);
  }
  try {
    signal.throwIfAborted();
    connection.setNoDelay(true); // Throws on some systems if it is reset already.
  } catch (error) {
    connection.close();
    throw error;
  }
  let destroyed = false;
  const destroy = () => {
    if (destroyed) return;
    destroyed = true;
    connection.close();
  };
  const read = async () => {
    const buffer = new Uint8Array(READ_BYTES);
    let count: number | null;
    while ((count = await connection.read(buffer)) !== null) {
      events.data(buffer.subarray(0, count));
    }
  };
  let reason: Error | undefined;
  const fail = (error: Error) => {
    // Once destroyed, it is what was under way then.
    if (!destroyed) reason = failure(error, (code) => `read ${code}`);
    destroy();
  };
  void read().then(destroy, fail).then(() => events.close(reason));
  return { write: writer(connection, fail), destroy };
}

/** Writes one after the other, whole: one `write` may take a part. */
function writer(
  connection: Deno.Conn,
  failed: (error: Error) => void,
): (bytes: Uint8Array) => void {
  const waiting: Uint8Array[] = [];
  let isWriting = false;
  const write = async (first: Uint8Array) => {
    isWriting = true;
    for (let bytes: Uint8Array | undefined = first; bytes; bytes = waiting.shift()) {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    }
    isWriting = false;
  };
  return (bytes) => {
    if (isWriting) waiting.push(bytes);
    else write(bytes).catch(failed); // Then the rest waits in vain.
  };
}
