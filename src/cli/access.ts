/**
 * What proves who is who: certificates for `amqps://`, and a password that is
 * not on the command line.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";
import { parseBrokerUrls, splitBrokerUrls } from "../amqp/broker_url.ts";
import { checkTls, type TlsOptions } from "../amqp/tls.ts";
import { RpcError } from "../errors.ts";
import { DEFAULT_URL } from "../protocol.ts";
import type { Environment } from "./environment.ts";

/** The values of `--tls-*` and `--password-file`. */
export interface AccessOptions {
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly passwordFile?: string | undefined;
}

/**
 * Reads the certificates and the key.
 *
 * @param url The brokers.
 * @throws {RpcError} `invalid_argument` for a file that doesn't hold what it
 * should, and for options that would protect nothing.
 */
export function tlsOptions(
  { tlsCa, tlsCert, tlsKey }: AccessOptions,
  url: string | readonly string[] = DEFAULT_URL,
): TlsOptions | undefined {
  const files = { ca: tlsCa, cert: tlsCert, key: tlsKey };
  const given = (Object.keys(files) as (keyof typeof files)[])
    .filter((part) => files[part] !== undefined);
  if (given.length === 0) return undefined;
  if (!parseBrokerUrls(url).some(({ tls }) => tls)) {
    const message = `--tls-${given[0]} protects nothing without a URL that starts with amqps://`;
    throw new RpcError("invalid_argument", message);
  }
  const tls: TlsOptions = Object.fromEntries(
    given.map((part) => [part, read(files[part]!, `--tls-${part}`)]),
  );
  const name = (part: keyof typeof files) =>
    `--tls-${part}${files[part] === undefined ? "" : ` ${JSON.stringify(files[part])}`}`;
  checkTls(tls, { ca: name("ca"), cert: name("cert"), key: name("key") });
  return tls;
}

/**
 * Puts the password of `--password-file`, or else of `FIBRPC_PASSWORD_FILE`,
 * into the URLs that have none.
 *
 * @param url The brokers; `undefined` is the default one, without its password.
 * @throws {RpcError} `invalid_argument` if there is no password in the file.
 */
export function withPassword(
  { env }: Environment,
  { passwordFile }: AccessOptions,
  url: string | readonly string[] | undefined,
): string | readonly string[] | undefined {
  const file = passwordFile ?? (env.FIBRPC_PASSWORD_FILE || undefined);
  if (file === undefined) return url;
  const option = passwordFile === undefined ? "FIBRPC_PASSWORD_FILE" : "--password-file";
  const [password] = read(file, option).split(/\r?\n/, 1);
  if (!password) {
    throw new RpcError(
      "invalid_argument",
      `${option} ${JSON.stringify(file)} has no password in its first line`,
    );
  }
  const texts = url ?? DEFAULT_URL;
  parseBrokerUrls(texts); // Refuses them in its own words.
  return splitBrokerUrls(texts).map((text) => {
    const [authority] = AUTHORITY.exec(text)!;
    const broker = new URL(authority);
    if (url === undefined || broker.password === "") broker.password = encodeURIComponent(password);
    return broker.href + text.slice(authority.length);
  });
}

/** A URL up to its path. */
const AUTHORITY = /^[^:]*:\/\/[^/?#]*/;

function read(file: string, option: string): string {
  try {
    return getBuiltinModule("node:fs").readFileSync(file, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RpcError("invalid_argument", `can't read ${option} ${JSON.stringify(file)}: ${why}`);
  }
}
