/**
 * Broker addresses: `amqp://` and `amqps://` URLs. This is the one place that
 * decides what may be shown of one: host, port and virtual host, once all of
 * it is understood. A URL that could hold a part of a password anywhere else
 * is refused, and a refusal shows nothing of it.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { isAddress } from "./socket/addresses.ts";

/** AMQP's registered ports, without and with TLS. */
const PORTS = { amqp: 5672, amqps: 5671 } as const;

/**
 * Scheme, user and password, host, port, virtual host, query: RFC 3986 and the
 * RabbitMQ URI specification, without their leniency. A password with an
 * unescaped `/`, `?`, `#` or `@` would otherwise end up in the host, the virtual
 * host or the query, and so would another URL of a list.
 */
const FORM =
  /^(amqps?):\/\/(?:([^/?#@]*)@)?(\[[^\]/?#@]*\]|[^/?#@:[\]]*)(?::([^/?#@]*))?(?:\/([^/?#@]*))?(?:\?((?:(?!:\/\/)[^#@])*))?$/i;

/** What to do about a URL that is not of that form. */
const HOW_TO_WRITE =
  'it is amqp://user:password@host:port/vhost or amqps://..., where "/" in a user name, password ' +
  'or vhost is written %2F, "?" %3F, "#" %23, "@" %40, "%" %25 and a space %20; commas separate ' +
  "several URLs";

/** Letters, digits and hyphens (RFC 1123), and the underscore that container networks have in their names. */
const HOST_LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;

/** What resolvers take for a part of an IPv4 address, written in a way of its own. */
const NUMBER_LABEL = /^(\d+|0x[0-9a-f]*)$/i;

const MAX_HOST_CHARACTERS = 253;

/** What needs no escape in a path, in any script, without what separates the URLs of a list. */
const VHOST = /^(?:[\p{L}\p{M}\p{N}\-._~!$&'()*+=:]|%[0-9a-f]{2})*$/iu;

/** Parameters that would make somebody else of who connects, were they ignored. */
const LOGIN_PARAMETERS = ["auth_mechanism", "auth", "user", "username", "password"];

/** A name of a parameter that may be shown; what is none could be anything. */
const PARAMETER_NAME = /^[a-z][a-z_]{0,39}$/i;

/** One broker, as an AMQP URL names it. */
export class BrokerUrl {
  /** Host name or IP address, without an IPv6 address's brackets. */
  readonly host: string;
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
  /** The names of the URL's parameters that have no effect. */
  readonly ignoredParameters: readonly string[];
  readonly #password: string | undefined;

  /**
   * @param text An `amqp://` or `amqps://` URL.
   * @param name What it is called in an error.
   * @throws {RpcError} `invalid_argument` if it is none. The message shows nothing of it.
   */
  constructor(text: string, name = "broker URL") {
    const refuse = (rule: string): never => {
      throw new RpcError("invalid_argument", `${name} ${rule}`);
    };
    const decode = (part: string): string => {
      let decoded: string;
      try {
        decoded = decodeURIComponent(part);
      } catch {
        return refuse('has a "%" that is not part of an escape such as %25 (of UTF-8)');
      }
      return /\p{Cc}/u.test(decoded) ? refuse("holds a control character") : decoded;
    };
    if (!/^amqps?:\/\//i.test(text)) refuse(`must start with amqp:// or amqps://: ${HOW_TO_WRITE}`);
    if (/[\s\p{Cc}]/u.test(text)) refuse(`holds a space or control character: ${HOW_TO_WRITE}`);
    const [, scheme, login = "", host, port, vhost = "", query = ""] = FORM.exec(text) ??
      refuse(`has a separator in a wrong place: ${HOW_TO_WRITE}`);
    this.tls = scheme!.toLowerCase() === "amqps";
    this.host = readHost(host!) ??
      refuse(`names no valid host, such as broker.example or [2001:db8::1]: ${HOW_TO_WRITE}`);
    this.port = readPort(port, this.tls) ??
      refuse(`has a port that is not a number from 1 to 65535: ${HOW_TO_WRITE}`);

    const [user] = login.split(":", 1);
    this.username = decode(user!) || "guest";
    this.hasUsername = user !== "";
    this.#password = decode(login.slice(user!.length + 1)) || undefined;

    if (!VHOST.test(vhost)) refuse(`names no valid vhost: ${HOW_TO_WRITE}`);
    this.vhost = decode(vhost) || "/";

    const ignored = new Set<string>();
    for (const [name, value] of new URLSearchParams(query)) {
      if (name === "heartbeat") {
        if (this.heartbeatSeconds !== undefined) refuse("has two heartbeats");
        if (!isHeartbeat(value)) refuse("has a heartbeat that is not a number from 0 to 65535");
        this.heartbeatSeconds = Number(value);
      } else if (name === "auth_mechanism" && value.toLowerCase() === "plain") {
        // It is the one that is used.
      } else if (name === "verify" && value === "verify_peer") {
        // It is always so.
      } else if (LOGIN_PARAMETERS.includes(name)) {
        refuse(
          `has a parameter ${name}: fibrpc logs in by PLAIN, with the user and password before ` +
            "the host, and in no other way",
        );
      } else {
        ignored.add(PARAMETER_NAME.test(name) ? name : "one that is not shown");
      }
    }
    this.ignoredParameters = [...ignored];
  }

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

/** @returns `undefined` if it is neither a name nor an address. */
function readHost(text: string): string | undefined {
  const host = text.toLowerCase();
  if (host.startsWith("[")) return URL.canParse(`http://${host}`) ? host.slice(1, -1) : undefined;
  if (isAddress(host)) return host;
  const labels = host.replace(/\.$/, "").split(".");
  const isName = host.length <= MAX_HOST_CHARACTERS &&
    labels.every((label) => HOST_LABEL.test(label)) && !NUMBER_LABEL.test(labels.at(-1)!);
  return isName ? host : undefined;
}

/** @returns `undefined` if it is none. */
function readPort(text: string | undefined, tls: boolean): number | undefined {
  if (text === undefined) return tls ? PORTS.amqps : PORTS.amqp;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function isHeartbeat(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

/**
 * Reads a list of brokers. A comma separates two of them only where another
 * `amqp://` or `amqps://` follows: a password may hold a comma.
 *
 * @throws {RpcError} `invalid_argument` if one is no AMQP URL, or there is none.
 */
export function parseBrokerUrls(texts: string | readonly string[]): BrokerUrl[] {
  const lists = [texts].flat().map((text) =>
    text.split(/,(?=\s*amqps?:\/\/)/i).map((url) => url.trim())
  );
  if (lists.some(couldSplitPassword)) {
    throw new RpcError(
      "invalid_argument",
      "of several broker URLs with a comma between them, one of the form amqp://word:digits comes " +
        "before one with a user: a password could have been split there. Write a comma in it %2C, " +
        "or a user into each URL",
    );
  }
  const urls = lists.flat();
  if (urls.length === 0) throw new RpcError("invalid_argument", "no broker URL given");
  return urls.map((url, index) =>
    new BrokerUrl(
      url,
      urls.length === 1 ? "broker URL" : `broker URL ${index + 1} of ${urls.length}`,
    )
  );
}

/** What looks like a user and the beginning of a password: a word, but no address or full name, and digits. */
const WORD_AND_DIGITS = /^amqps?:\/\/(?!localhost:)[^./?#[\]@:]+:\d[^@]*$/i;

/** Whether `amqp://user:1,amqp://2@host` could be one URL, with a comma in its password. */
function couldSplitPassword(urls: readonly string[]): boolean {
  const first = urls.findIndex((url) => WORD_AND_DIGITS.test(url));
  return first !== -1 && urls.slice(first).some((url) => url.includes("@"));
}
