/**
 * A TLS server with any certificate, for clients that should go away when
 * they see it.
 *
 * @module
 */
import type { Issued } from "./certificates.ts";

/** Where it listens; it stops when it is disposed of. */
export interface TlsListener extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** How many clients accepted its certificate. */
  readonly trusted: number;
}

/** Shows the certificate to whoever connects, and closes the connection. */
export function listenTls({ cert, key }: Issued): TlsListener {
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  });
  let trusted = 0;
  const done = (async () => {
    for await (const connection of listener) {
      try {
        await connection.handshake();
        if (await connection.read(new Uint8Array(1)) !== null) trusted += 1;
      } catch {
        // It went away.
      }
      connection.close();
    }
  })();
  return {
    port: listener.addr.port,
    get trusted() {
      return trusted;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}
