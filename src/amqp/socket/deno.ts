/**
 * Deno's own sockets.
 *
 * @module
 */
import type { Endpoint, Socket, SocketEvents } from "./socket.ts";

/** Read at once at most, in bytes: as much as `node:net` does. */
const READ_BYTES = 65_536;

/** See {@linkcode openSocket}. */
export async function denoSocket(
  { address: hostname, port }: Endpoint,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<Socket> {
  const connection = await Deno.connect({ hostname, port, signal }).catch((error) => {
    const { code = error.message } = error as { code?: string };
    throw Object.assign(new Error(`connect ${code} ${hostname}:${port}`), { code });
  });
  connection.setNoDelay(true);
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
    if (!destroyed) reason = error; // Else it is what was under way then.
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
    else write(bytes).catch(failed);
  };
}
