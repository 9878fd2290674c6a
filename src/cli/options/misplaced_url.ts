/**
 * A broker's URL where none belongs, as after a misspelt option: whatever
 * refuses it would show it as what it isn't, password and all.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import type { Environment } from "../environment.ts";

/** Also one that is written wrongly. */
const BROKER_URL = /amqps?:|:\/\//i;

/** Variables that hold something else. */
const VARIABLES = ["FIBRPC_QUEUE", "FIBRPC_TIMEOUT", "FIBRPC_PASSWORD_FILE"];

/** Options whose values are URLs, or the caller's own affair. */
const FREE = ["--url", "--body", "--header", "--worker", "--management"];

/**
 * @param args What is read as options and arguments.
 * @throws {RpcError} `invalid_argument` if there is one.
 */
export function refuseMisplacedUrls(args: readonly string[], { env }: Environment): void {
  const isFree = (arg: string, before: string | undefined) =>
    FREE.some((option) => arg.startsWith(`${option}=`) || before === option);
  if (args.some((arg, index) => BROKER_URL.test(arg) && !isFree(arg, args[index - 1]))) {
    throw new RpcError("invalid_argument", "each broker URL must follow a --url of its own");
  }
  const name = VARIABLES.find((name) => BROKER_URL.test(env[name] ?? ""));
  if (name === undefined) return;
  throw new RpcError("invalid_argument", `${name} holds a broker URL, which belongs in FIBRPC_URL`);
}
