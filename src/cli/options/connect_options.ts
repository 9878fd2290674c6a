/**
 * The options that commands share: which broker, which queue.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { getLogger } from "@logtape/logtape";
import { InvalidArgumentError } from "commander";
import { parseBrokerUrls } from "../../amqp/broker_url.ts";
import { RpcError } from "../../errors.ts";
import { DEFAULT_QUEUE, DEFAULT_URL, MAX_MAX_MESSAGE_BYTES } from "../../protocol/names.ts";
import type { ConnectOptions } from "../../rpc/connect_options.ts";
import { type AccessOptions, checkAccess } from "./access.ts";
import type { Environment } from "../environment.ts";
import { collect, heartbeat, wholeNumber } from "./values.ts";

const logger = getLogger(["fibrpc", "options"]);

export const HEARTBEAT_OPTION = [
  "--heartbeat <seconds>",
  "how often each side must be heard; 0: never (default: 15)",
  heartbeat,
] as const;

/** Gives a new command the options that say which broker, and with what access. */
export const addBrokerOptions = (command: Command) =>
  command
    .option("--url <url>", `broker; repeat it to name several (default: ${DEFAULT_URL})`, collect)
    .option("--password-file <file>", "its first line is the password for URLs without one")
    .option("--tls-ca <file>", "authorities to trust for amqps:// (default: the system's)")
    .option("--tls-cert <file>", "client certificate for amqps://, with its chain")
    .option("--tls-key <file>", "private key of --tls-cert");

/** The same, and which queue. */
export const addConnectOptions = (command: Command) =>
  addBrokerOptions(command)
    .option("--queue <name>", `request queue (default: ${DEFAULT_QUEUE})`)
    .option(
      "--max-message-bytes <count>",
      "largest body that is sent (default: 16777216)",
      wholeNumber(1, MAX_MAX_MESSAGE_BYTES),
    );

/**
 * The connection settings that the command line and the environment make.
 *
 * @throws {RpcError} `invalid_argument` for one that makes no sense.
 */
export async function connectOptions(
  environment: Environment,
  options: AccessOptions & {
    url?: string[] | undefined;
    queue?: string | undefined;
    heartbeat?: number;
    maxMessageBytes?: number;
  },
  command: string,
): Promise<ConnectOptions & { queue?: string }> {
  const { heartbeat: heartbeatSeconds, maxMessageBytes } = options;
  const url = options.url ?? urlFromEnvironment(environment);
  if (options.url !== undefined) warnOfPassword(options.url);
  const { credentials, tls } = await checkAccess(environment, options, url);
  const queue = options.queue ?? (environment.env.FIBRPC_QUEUE || undefined);
  return {
    ...given({ url, queue, heartbeatSeconds, maxMessageBytes, credentials, tls }),
    name: `fibrpc ${command}@${environment.identity}`,
  };
}

function urlFromEnvironment({ env }: Environment): string | undefined {
  const name = env.FIBRPC_URL ? "FIBRPC_URL" : "AMQP_URL";
  const url = env[name];
  if (!url) return undefined;
  try {
    parseBrokerUrls(url);
    return url;
  } catch (error) {
    throw new RpcError("invalid_argument", `${name}: ${RpcError.from(error).message}`);
  }
}

/** Warns of a password that other users of this host can read in the process list. */
function warnOfPassword(urls: readonly string[]): void {
  const secret = parseBrokerUrls(urls).some((url) => url.hasPassword && url.password !== "guest");
  if (!secret) return;
  logger.warn(
    "the password in --url is visible in the process list; use --password-file or set FIBRPC_URL",
  );
}

/** The same of a URL that is no broker's. */
export function warnOfPasswordIn(text: string, option: string): void {
  if (!URL.parse(text)?.password) return;
  logger.warn("the password in {option} is visible in the process list", { option });
}

/** The value of an environment variable, read as an option's would be; empty is unset. */
export function fromEnvironment<Value>(
  { env }: Environment,
  name: string,
  parse: (text: string) => Value,
): Value | undefined {
  const text = env[name];
  if (!text) return undefined;
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const message = `${name}=${JSON.stringify(text)} is invalid. ${error.message}`;
    throw new RpcError("invalid_argument", message);
  }
}

/** `options` without what is `undefined`. */
export function given<Options extends object>(
  options: Options,
): { [Key in keyof Options]?: Exclude<Options[Key], undefined> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as { [Key in keyof Options]?: Exclude<Options[Key], undefined> };
}
