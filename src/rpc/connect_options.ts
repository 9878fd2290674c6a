/**
 * Settings that both ends share.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import process from "node:process";
import { type BrokerUrl, parseBrokerUrls } from "../amqp/broker_url.ts";
import type { ConnectionStateChange } from "../amqp/supervisor.ts";
import type { Credentials } from "../amqp/credentials.ts";
import { checkLogin } from "../amqp/handshake.ts";
import { checkTls } from "../amqp/socket/tls.ts";
import type { TlsOptions } from "../amqp/connection.ts";
import { checkInteger } from "../checks.ts";
import {
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_URL,
  MAX_MAX_MESSAGE_BYTES,
} from "../protocol/names.ts";

const logger = getLogger(["fibrpc", "options"]);

/** Where to connect to, and how. */
export interface ConnectOptions {
  /**
   * The broker, as an `amqp://` or `amqps://` URL. Several, in an array or
   * separated by commas, are tried in turn.
   *
   * @default "amqp://localhost:5672"
   */
  url?: string | readonly string[];
  /**
   * The heartbeat interval in seconds; 0 turns it off. A peer that is silent for
   * two of them counts as lost. A URL's own `heartbeat`
   * parameter comes first.
   *
   * @default 15
   */
  heartbeatSeconds?: number;
  /**
   * The largest body that is sent, of a request or of a response, in bytes, from
   * 1 to 512 MiB. One that is larger is `resource_exhausted`, where the broker
   * would close the channel. It may be up to the broker's `max_message_size`,
   * which is 128 MiB on RabbitMQ 3 and 16 MiB on 4 unless configured otherwise; a
   * broker's that is lower is found out by a refusal.
   *
   * @default 16777216
   */
  maxMessageBytes?: number;
  /** The connection's name on the broker's management page. */
  name?: string;
  /**
   * Returns the user name and the password, where the URL holds none. It is
   * called before each connection, so they may change. An `RpcError` that it
   * throws is final at the first connection, unless it is `unavailable`, as any
   * other error is: that fails an attempt only.
   */
  credentials?: () => Credentials | Promise<Credentials>;
  /**
   * Certificates for `amqps://` URLs, or a function that returns them, called
   * like {@linkcode ConnectOptions.credentials}. Default: the system's
   * authorities, no client certificate.
   */
  tls?: TlsOptions | (() => TlsOptions | Promise<TlsOptions>);
  /**
   * Called once for each change of the connection's state: `connecting` when
   * no broker could be had, or the connection was lost; not at each attempt.
   */
  onStateChange?: (change: ConnectionStateChange) => void;
}

/** {@linkcode ConnectOptions}, checked and complete. */
export type ResolvedConnectOptions = ReturnType<typeof resolveConnectOptions>;

const DEFAULT_HEARTBEAT_SECONDS = 15;

/** AMQP's heartbeat is an unsigned 16-bit number of seconds. */
const MAX_HEARTBEAT_SECONDS = 65_535;

/**
 * Fills in the defaults.
 *
 * @param role Names the connection where the options don't.
 * @throws {RpcError} `invalid_argument` for a setting out of its range.
 */
export function resolveConnectOptions(options: ConnectOptions, role: string) {
  const {
    url = DEFAULT_URL,
    heartbeatSeconds = DEFAULT_HEARTBEAT_SECONDS,
    maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES,
    name = `fibrpc ${role}:${process.pid}`,
    credentials,
    tls,
  } = options;
  checkInteger("heartbeatSeconds", heartbeatSeconds, 0, MAX_HEARTBEAT_SECONDS);
  checkInteger("maxMessageBytes", maxMessageBytes, 1, MAX_MAX_MESSAGE_BYTES);
  if (tls !== undefined && typeof tls !== "function") checkTls(tls);
  const brokers = parseBrokerUrls(url);
  for (const broker of brokers) checkLogin(broker, broker, name);
  warnOfIgnored(brokers);
  return {
    brokers,
    heartbeatSeconds,
    maxMessageBytes,
    name,
    credentials,
    tls,
  };
}

/** What other clients obey, and what is misspelt, is not ignored in silence. */
function warnOfIgnored(brokers: readonly BrokerUrl[]): void {
  const names = new Set(brokers.flatMap(({ ignoredParameters }) => ignoredParameters));
  if (names.size === 0) return;
  logger.warn(
    "parameters of the broker URL without effect: {names} (it can hold heartbeat; " +
      "certificates and times are given by options)",
    { names: [...names].join(", ") },
  );
}
