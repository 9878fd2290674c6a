/**
 * Deno's own sockets.
 *
 * @module
 */
import { type Endpoint, failure, type Socket, type SocketEvents } from "./socket.ts";

/** Read at once at most, in bytes: as much as `node:net` does. */
const READ_BYTES = 65_536;

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
  const writer = new Writer(connection, fail);
  return {
    write: (bytes) => writer.write(bytes),
    get waitingBytes() {
      return writer.waitingBytes;
    },
    destroy,
  };
}

/** Writes one after the other, whole: one `write` may take a part. */
class Writer {
  readonly #connection: Deno.Conn;
  readonly #failed: (error: Error) => void;
  readonly #waiting: Uint8Array[] = [];
  #isWriting = false;
  waitingBytes = 0;

  constructor(connection: Deno.Conn, failed: (error: Error) => void) {
    this.#connection = connection;
    this.#failed = failed;
  }

  write(bytes: Uint8Array): void {
    this.waitingBytes += bytes.length;
    if (this.#isWriting) this.#waiting.push(bytes);
    else this.#writeAll(bytes).catch(this.#failed); // Then the rest waits in vain.
  }

  async #writeAll(first: Uint8Array): Promise<void> {
    this.#isWriting = true;
    for (let bytes: Uint8Array | undefined = first; bytes; bytes = this.#waiting.shift()) {
      for (let at = 0; at < bytes.length;) {
        const count = await this.#connection.write(bytes.subarray(at));
        this.waitingBytes -= count;
        at += count;
      }
    }
    this.#isWriting = false;
  }
}
