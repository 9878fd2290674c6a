/**
 * What a command of `serve -- command` is started with: its file, and variables
 * that tell it nothing of the broker.
 *
 * @module
 */
import { statSync } from "node:fs";
import { parseBrokerUrls } from "../../amqp/broker_url.ts";
import { RpcError } from "../../errors.ts";
import { quote } from "../../text.ts";
import type { ConnectOptions } from "../../rpc/connect_options.ts";
import type { Environment } from "../environment.ts";

/** So long a password is looked for anywhere in a value; a shorter one could be in any. */
const LONG_PASSWORD = 6;

/** A URL with a password in it, of whichever broker. */
const SECRET_URL = /amqps?:\/\/[^\s/@]*:[^\s/@]*@/i;

/** Where a program is looked for that is named without a folder, if no variable says so. */
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/**
 * Finds the file of a program, as a shell does.
 *
 * @throws {RpcError} `invalid_argument` if there is none that can be run.
 */
export function findProgram(program: string, path = DEFAULT_PATH): string {
  const files = program.includes("/")
    ? [program]
    : path.split(":").map((folder) => `${folder || "."}/${program}`);
  const found = files.find(isFile);
  if (found === undefined) {
    const where = program.includes("/") ? "" : " on the PATH";
    throw new RpcError("invalid_argument", `the command ${quote(program)} was not found${where}`);
  }
  const executable = files.find((file) => isFile(file) && isExecutable(file));
  if (executable !== undefined) return executable;
  throw new RpcError("invalid_argument", `the command ${quote(found)} may not be executed`);
}

/**
 * This process's variables without those that are fibrpc's own, and without any
 * that holds a password of the broker's.
 */
export async function childVariables(
  environment: Environment,
  { url = [], credentials }: ConnectOptions,
): Promise<Record<string, string>> {
  const passwords = parseUrls(url).flatMap((broker) => broker.hasPassword ? [broker.password] : []);
  const { password } = await credentials?.() ?? {};
  if (password !== undefined) passwords.push(password);
  const secrets = passwords.filter((password) => password !== "guest")
    .flatMap((password) => [password, encodeURIComponent(password)]);
  const isSecret = (value: string) =>
    SECRET_URL.test(value) ||
    secrets.some((secret) =>
      value === secret || secret.length >= LONG_PASSWORD && value.includes(secret)
    );
  const kept = Object.entries(environment.allVariables()).filter(
    (entry): entry is [string, string] => {
      const [name, value] = entry;
      if (value === undefined || name.startsWith("FIBRPC_") || name === "AMQP_URL") return false;
      return !isSecret(value);
    },
  );
  return Object.fromEntries(kept);
}

function parseUrls(url: string | readonly string[]) {
  return url.length === 0 ? [] : parseBrokerUrls(url);
}

/** What can't be looked at, such as a folder that this user may not enter, a shell skips. */
function isFile(file: string): boolean {
  try {
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** For anybody: whether that includes this user is found out at the first request. */
function isExecutable(file: string): boolean {
  return (statSync(file).mode & 0o111) !== 0;
}
