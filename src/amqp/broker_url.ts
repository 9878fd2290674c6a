/**
 * Broker addresses: `amqp://` and `amqps://` URLs, read once and never shown
 * with their password.
 *
 * @module
 */
import { quote } from "../protocol.ts";
import { RpcError } from "../errors.ts";

/** AMQP's registered ports, without and with TLS. */
const DEFAULT_PORTS: Record<string, number> = { "amqp:": 5672, "amqps:": 5671 };

/** One broker, as an AMQP URL names it. */
export class BrokerUrl {
  /** Host name or IP address, without an IPv6 address's brackets. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** Whether the URL asks for TLS (`amqps://`). */
  readonly tls: boolean;
  /** User name; `guest` if the URL has none. */
  readonly username: string;
  /** Whether the URL itself holds a user name. */
  readonly hasUsername: boolean;
  /** Virtual host; `/` if the URL has none. */
  readonly vhost: string;
  /** The URL's `heartbeat` parameter, in seconds. */
  readonly heartbeatSeconds: number | undefined;
  readonly #password: string | undefined;

  /**
   * @param text An `amqp://` or `amqps://` URL.
   * @throws {RpcError} `invalid_argument` if it is none.
   */
  constructor(text: string) {
    const url = parse(text);
    const port = DEFAULT_PORTS[url.protocol];
    if (port === undefined) {
      throw refused(text, "must start with amqp:// or amqps://");
    }
    if (url.hostname === "") throw refused(text, "names no host");
    if (url.hash !== "") throw refused(text, "has a # (in a password, write %23)");
    this.host = decode(text, url.hostname).replace(/^\[(.*)\]$/, "$1");
    this.port = url.port === "" ? port : Number(url.port);
    this.tls = url.protocol === "amqps:";
    this.username = decode(text, url.username) || "guest";
    this.hasUsername = url.username !== "";
    this.#password = url.password === "" ? undefined : decode(text, url.password);
    // Not `url.pathname`: a URL's path loses what is only "." or "..".
    this.vhost = decode(text, PATH.exec(text)?.[1] ?? "") || "/";
    const heartbeat = url.searchParams.get("heartbeat");
    if (heartbeat !== null && !/^\d{1,5}$/.test(heartbeat)) {
      throw refused(text, "has a heartbeat that is not a number of seconds");
    }
    this.heartbeatSeconds = heartbeat === null ? undefined : Number(heartbeat);
  }

  /** The password; `guest` if the URL has none. */
  get password(): string {
    return this.#password ?? "guest";
  }

  /** Whether the URL itself holds a password. */
  get hasPassword(): boolean {
    return this.#password !== undefined;
  }

  /** `host:port`, and the virtual host where it isn't the default one: what may be shown. */
  toString(): string {
    const host = this.host.includes(":") ? `[${this.host}]` : this.host;
    return `${host}:${this.port}${this.vhost === "/" ? "" : ` (vhost ${this.vhost})`}`;
  }
}

/**
 * Splits a list of brokers. A comma separates two of them only where another
 * `amqp://` or `amqps://` follows: a password may hold a comma.
 */
export function splitBrokerUrls(texts: string | readonly string[]): string[] {
  return [texts].flat()
    .flatMap((text) => text.split(/,(?=\s*amqps?:\/\/)/))
    .map((text) => text.trim());
}

/**
 * Reads a list of brokers; see {@linkcode splitBrokerUrls}.
 *
 * @throws {RpcError} `invalid_argument` if one is no AMQP URL, or there is none.
 */
export function parseBrokerUrls(
  texts: string | readonly string[],
): BrokerUrl[] {
  const urls = splitBrokerUrls(texts).map((text) => new BrokerUrl(text));
  if (urls.length === 0) {
    throw new RpcError("invalid_argument", "no broker URL given");
  }
  return urls;
}

/** RFC 3986, section 3: after the authority, before the query. */
const PATH = /^[^:]*:\/\/[^/?#]*\/([^?#]*)/;

function parse(text: string): URL {
  try {
    return new URL(text);
  } catch {
    // Not kept as the cause: its message quotes the whole URL.
    throw refused(text, "is not a URL");
  }
}

function decode(url: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw refused(
      url,
      "has a % that is not followed by two hexadecimal digits (write %25)",
    );
  }
}

function refused(text: string, rule: string): RpcError {
  return new RpcError(
    "invalid_argument",
    `broker URL ${quote(redact(text))} ${rule}`,
  );
}

/** Hides everything that could be a password: up to the last `@`, and all where a colon comes first. */
function redact(text: string): string {
  const at = text.lastIndexOf("@");
  if (at === -1) return text;
  const scheme = /^[a-z]+:\/\//i.exec(text)?.[0] ?? "";
  return `${scheme}***${text.slice(at)}`;
}
