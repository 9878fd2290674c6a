/**
 * Certificates and keys for `amqps://`: checked when they are given, and made
 * into what `tls.connect` takes. There is no way to turn verification off.
 *
 * @module
 */
import type { KeyObject, X509Certificate } from "node:crypto";
import { getBuiltinModule } from "node:process";
import type { ConnectionOptions } from "node:tls";
import { RpcError } from "../../errors.ts";
import { isAddress } from "./addresses.ts";
import { ConnectFailure } from "../failure.ts";

/** Certificates and keys for `amqps://`, in PEM. The server's name and chain are always verified. */
export interface TlsOptions {
  /** Trusted authorities, one or more, instead of the system's. */
  readonly ca?: string;
  /** The client's certificate, followed by those that connect it to an authority. */
  readonly cert?: string;
  /** The key of {@linkcode TlsOptions.cert}, not encrypted. */
  readonly key?: string;
}

/** What the parts of {@linkcode TlsOptions} are called in an error. */
export type TlsNames = Readonly<Record<keyof TlsOptions, string>>;

const NAMES: TlsNames = { ca: "tls.ca", cert: "tls.cert", key: "tls.key" };

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const KEY = /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----[^]+?-----END ([A-Z]+ )*PRIVATE KEY-----/;
const ENCRYPTED = /ENCRYPTED/;

/**
 * Refuses what the runtimes would take without a word, or report in riddles
 * when they connect.
 *
 * @param names Calls the parts by the names that the user knows.
 * @throws {RpcError} `invalid_argument`; the message holds nothing of a key.
 */
export function checkTls({ ca, cert, key }: TlsOptions, names: TlsNames = NAMES): void {
  if (ca !== undefined) certificate(ca, names.ca);
  if (cert === undefined && key === undefined) return;
  if (cert === undefined || key === undefined) {
    const [given, missing] = cert === undefined
      ? ["key", "cert"] as const
      : ["cert", "key"] as const;
    const what = missing === "key" ? "the certificate's private key" : "the key's certificate";
    throw new RpcError("invalid_argument", `${names[given]} needs ${what} too: ${names[missing]}`);
  }
  if (!certificate(cert, names.cert).checkPrivateKey(privateKey(key, names.key))) {
    throw new RpcError(
      "invalid_argument",
      `${names.key} is not the private key of the first certificate in ${names.cert}`,
    );
  }
}

/** Loaded when there is something to check: it takes 2 ms, a tenth of a one-shot call. */
const crypto = () => getBuiltinModule("node:crypto");

/** The first of the certificates in a text. */
function certificate(text: string, name: string): X509Certificate {
  const [first] = text.match(CERTIFICATE) ?? [];
  if (first === undefined) {
    throw new RpcError(
      "invalid_argument",
      `${name} holds no PEM certificate ("-----BEGIN CERTIFICATE-----")`,
    );
  }
  try {
    return new (crypto().X509Certificate)(first);
  } catch {
    throw new RpcError("invalid_argument", `${name} holds a certificate that can't be read`);
  }
}

function privateKey(text: string, name: string): KeyObject {
  const [pem] = KEY.exec(text) ?? [];
  if (pem === undefined) {
    throw new RpcError(
      "invalid_argument",
      `${name} holds no PEM private key ("-----BEGIN PRIVATE KEY-----")`,
    );
  }
  if (ENCRYPTED.test(pem)) {
    throw new RpcError(
      "invalid_argument",
      `${name} is encrypted: fibrpc takes none that needs a passphrase`,
    );
  }
  try {
    return crypto().createPrivateKey(pem);
  } catch {
    // Not kept as the cause, nor quoted: it may hold the key.
    throw new RpcError("invalid_argument", `${name} holds a private key that can't be read`);
  }
}

/**
 * The options of `tls.connect` besides the address.
 *
 * @throws {RpcError} As {@linkcode checkTls}.
 * @throws {ConnectFailure} If there is no authority to trust.
 */
export function tlsConnectOptions(host: string, options: TlsOptions = {}): ConnectionOptions {
  checkTls(options);
  const { ca, cert, key } = options;
  return {
    ...(ca === undefined ? systemAuthorities() : { ca }),
    ...(cert === undefined || key === undefined
      ? {}
      // A file may hold both, and other things: runtimes differ on what they skip.
      : { cert: cert.match(CERTIFICATE)!.join("\n"), key: KEY.exec(key)![0] }),
    servername: isAddress(host) ? "" : host,
    // Bun would take the default from NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
  };
}

/**
 * What the system trusts (on most Unixes `$SSL_CERT_FILE` and `$SSL_CERT_DIR`
 * say what that is), as `curl` and `psql` do. By themselves the runtimes trust
 * a list of their own, without a company's authority.
 */
function systemAuthorities(): ConnectionOptions {
  let found: string[];
  try {
    found = getBuiltinModule("node:tls").getCACertificates("system");
  } catch {
    return {}; // Older runtimes; Deno without leave (`--allow-sys=ca`): their own list.
  }
  if (found.length > 0) return { ca: found };
  // An empty list would mean the runtime's own to Bun.
  const error = new RpcError(
    "unavailable",
    "this system trusts no certificate authority (install the package ca-certificates, " +
      "or name the broker's authority with tls.ca)",
  );
  throw new ConnectFailure(error, true);
}
