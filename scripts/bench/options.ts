/**
 * The command line.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../src/text.ts";

/** What the command line says. */
export interface Options {
  /** A broker that is there already; otherwise one is started. */
  readonly url: string | undefined;
  /** The scenarios to run. */
  readonly only: readonly string[];
  /** How often each program has its turn. */
  readonly rounds: number;
  /** How many calls the largest scenarios make; the others make a part of that. */
  readonly calls: number;
  /** Whether the result is one JSON object. */
  readonly json: boolean;
  /** Whether peers are left out. */
  readonly oursOnly: boolean;
}

/** A command line that makes no sense. */
export class UsageError extends Error {}

/** Reads the command line; `scenarios` are those there are. */
export function readOptions(args: readonly string[], scenarios: readonly string[]): Options {
  const { url, only, rounds, calls, json, "ours-only": oursOnly } = parse(args);
  const chosen = only?.split(",") ?? scenarios;
  const unknown = chosen.find((name) => !scenarios.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`no scenario "${unknown}"; there are ${scenarios.join(", ")}`);
  }
  return {
    url,
    only: chosen,
    rounds: wholeNumber("--rounds", rounds),
    calls: wholeNumber("--calls", calls),
    json,
    oursOnly,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        url: { type: "string" },
        only: { type: "string" },
        rounds: { type: "string", default: "5" },
        calls: { type: "string", default: "40000" },
        json: { type: "boolean", default: false },
        "ours-only": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new UsageError(`${name} ${text} is not a whole number over 0`);
}
