/**
 * What proves who is who: certificates for `amqps://`, and a password that is
 * not on the command line. Both come from files that are read again at each
 * connection, since they may be replaced while the process runs.
 *
 * @module
 */
import { parseBrokerUrls } from "../../amqp/broker_url.ts";
import type { Credentials } from "../../amqp/credentials.ts";
import { checkTls, type TlsOptions } from "../../amqp/socket/tls.ts";
import { RpcError } from "../../errors.ts";
import { DEFAULT_URL } from "../../protocol/names.ts";

import type { Environment } from "../environment.ts";
import { TextFile } from "./text_file.ts";

export interface AccessOptions {
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly passwordFile?: string | undefined;
}

/** What is asked for before each connection. */
export interface Access {
  readonly credentials: (() => Promise<Credentials>) | undefined;
  readonly tls: (() => Promise<TlsOptions>) | undefined;
}

/**
 * Checks what the options and the environment say of access.
 *
 * @param url The brokers; `undefined` is the default one.
 * @returns What reads the files again. It throws `unavailable`: a file that was right is right again
 * when it has been replaced.
 * @throws {RpcError} `invalid_argument` for a file that doesn't hold what it should, and for options
 * that would protect nothing.
 */
export async function checkAccess(
  environment: Environment,
  options: AccessOptions,
  url: string | readonly string[] | undefined,
): Promise<Access> {
  const credentials = passwordReader(environment, options);
  const tls = tlsReader(options, url);
  await credentials?.();
  await tls?.();
  return {
    credentials: credentials && again(credentials),
    tls: tls && again(tls),
  };
}

function again<Value>(read: () => Promise<Value>): () => Promise<Value> {
  return async () => {
    try {
      return await read();
    } catch (error) {
      throw new RpcError("unavailable", RpcError.from(error).message, { cause: error });
    }
  };
}

/** Of the file that `--password-file` names, or else `FIBRPC_PASSWORD_FILE`. */
function passwordReader(
  { env }: Environment,
  { passwordFile }: AccessOptions,
): (() => Promise<Credentials>) | undefined {
  const file = passwordFile !== undefined
    ? new TextFile(passwordFile, "--password-file")
    : env.FIBRPC_PASSWORD_FILE
    ? new TextFile(env.FIBRPC_PASSWORD_FILE, "FIBRPC_PASSWORD_FILE")
    : undefined;
  return file && (async () => {
    const [password] = (await file.read()).split(/\r?\n/, 1);
    const refuse = (why: string) => new RpcError("invalid_argument", `${file.name} ${why}`);
    if (!password) throw refuse("has no password in its first line");
    if (/\p{Cc}/u.test(password)) throw refuse("has a control character in its first line");
    return { password };
  });
}

function tlsReader(
  { tlsCa, tlsCert, tlsKey }: AccessOptions,
  url: string | readonly string[] = DEFAULT_URL,
): (() => Promise<TlsOptions>) | undefined {
  const given = Object.entries({ ca: tlsCa, cert: tlsCert, key: tlsKey })
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([part, path]) => [part, new TextFile(path, `--tls-${part}`)] as const);
  if (given.length === 0) return undefined;
  if (!parseBrokerUrls(url).some(({ tls }) => tls)) {
    const message = `--tls-${
      given[0]![0]
    } protects nothing without a URL that starts with amqps://`;
    throw new RpcError("invalid_argument", message);
  }
  const names = { ca: "--tls-ca", cert: "--tls-cert", key: "--tls-key" };
  for (const [part, { name }] of given) names[part as keyof typeof names] = name;
  return async () => {
    const texts = given.map(async ([part, file]) => [part, await file.read()]);
    const tls: TlsOptions = Object.fromEntries(await Promise.all(texts));
    checkTls(tls, names);
    return tls;
  };
}
