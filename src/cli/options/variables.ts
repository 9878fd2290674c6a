/**
 * Settings from the environment: `--max-n` is `FIBRPC_MAX_N`.
 *
 * @module
 */
import type { Environment } from "../environment.ts";
import { fromEnvironment } from "./connect_options.ts";
import type { Definition } from "./lean_command.ts";
import { oneOf } from "./values.ts";

/** Options whose variables are read where the option is: they may hold what no message may show. */
const ELSEWHERE: readonly string[] = ["--url", "--password-file", "--queue"];

const FLAG_VALUES = ["true", "false", "1", "0"] as const;

/** An option's variable. */
export function variableOf(flag: string): string {
  return `FIBRPC_${flag.replace(/^--(no-)?/, "").replaceAll("-", "_").toUpperCase()}`;
}

/**
 * The arguments that stand for the variables of options which are not given.
 *
 * @throws {RpcError} `invalid_argument` for a value that its option does not take.
 */
export function variableArguments(
  environment: Environment,
  definitions: Iterable<Definition>,
  args: readonly string[],
): string[] {
  const made: string[] = [];
  for (const [flags, , parse] of definitions) {
    const [flag = "", ...values] = flags.split(" ");
    const isGiven = args.some((arg) => arg === flag || arg.startsWith(`${flag}=`));
    if (isGiven || ELSEWHERE.includes(flag)) continue;
    const name = variableOf(flag);
    if (values.length === 0) {
      const isSet = fromEnvironment(environment, name, oneOf(...FLAG_VALUES));
      if (isSet === undefined) continue;
      const isOn = isSet === "true" || isSet === "1";
      if (isOn !== flag.startsWith("--no-")) made.push(flag);
      continue;
    }
    const text = environment.env[name];
    if (!text) continue;
    const parts = flags.includes("...") ? text.split(",") : [text];
    for (const part of parts) {
      // Only to see whether it is valid: the option reads it again.
      if (typeof parse === "function") fromEnvironment(environment, name, () => parse(part));
      made.push(`${flag}=${part}`);
    }
  }
  return made;
}
