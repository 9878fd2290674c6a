/**
 * What a connection needs of a socket, whichever runtime's it is.
 *
 * @module
 */
import type { TlsOptions } from "./tls.ts";

/** Where to connect to. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** With TLS: the name that the certificate must have, and what else matters. */
  readonly tls?: { readonly host: string; readonly options: TlsOptions | undefined } | undefined;
}

export interface SocketEvents {
  /** Bytes came; they may be overwritten after the call. */
  readonly data: (bytes: Uint8Array) => void;
  /** It is gone, with the reason if it wasn't closed in good order. Called once for an open one. */
  readonly close: (reason?: Error) => void;
}

/** An open connection without Nagle's delay (`TCP_NODELAY`). */
export interface Socket {
  /** Sends, in the order of the calls. It keeps `bytes` until they are sent, and never throws. */
  write(bytes: Uint8Array): void;
  /** How many bytes wait until the system takes them. */
  readonly waitingBytes: number;
  /** Ends the connection at once; `close` is called later. */
  destroy(): void;
}

/** A runtime's error in the words of Node's, if it has a code. */
export function failure(thrown: unknown, words: (code: string) => string): Error {
  const { code } = thrown as { code?: string };
  if (code === undefined) return thrown as Error;
  return Object.assign(new Error(words(code), { cause: thrown }), { code });
}
