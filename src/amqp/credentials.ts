/**
 * Who logs in: what a broker's URL holds and, for the rest, what a provider
 * returns. Providers are called before each connection, so that a password or
 * a certificate may change while a program runs.
 *
 * @module
 */
import type { BrokerUrl } from "./broker_url.ts";
import type { TlsOptions } from "./socket/tls.ts";
import { within } from "../time.ts";

/** A user name and a password, for what a broker's URL does not hold. */
export interface Credentials {
  /** Default: that of the URL, else `guest`. */
  readonly username?: string;
  /** Default: that of the URL, else `guest`. */
  readonly password?: string;
}

/** What a connection logs in with, or where that comes from. */
export interface CredentialsOptions {
  /** Fills in what the URL does not hold. */
  readonly credentials?: (() => Credentials | Promise<Credentials>) | undefined;
  /** Certificates for `amqps://`. */
  readonly tls?: TlsOptions | (() => TlsOptions | Promise<TlsOptions>) | undefined;
}

/** What one attempt to connect logs in with. */
export interface Login {
  readonly username: string;
  readonly password: string;
  readonly tls: TlsOptions | undefined;
}

/**
 * Calls the providers.
 *
 * @param timeoutMs For how long at the most, in milliseconds.
 * @param signal Gives up early.
 * @throws What a provider throws.
 */
export async function loginTo(
  broker: BrokerUrl,
  { credentials, tls }: CredentialsOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Login> {
  const ask = async (): Promise<Login> => {
    const given = await credentials?.() ?? {};
    return {
      username: broker.hasUsername ? broker.username : given.username ?? broker.username,
      password: broker.hasPassword ? broker.password : given.password ?? broker.password,
      tls: typeof tls !== "function" ? tls : broker.tls ? await tls() : undefined,
    };
  };
  const isAsked = credentials !== undefined || typeof tls === "function";
  return await (isAsked ? within(ask(), timeoutMs, signal, "no credentials") : ask());
}
