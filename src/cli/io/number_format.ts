/**
 * How the results of calls for numbers are printed.
 *
 * @module
 */
import { printable } from "../../text.ts";
import { failureJson, outcomeJson } from "./outcome_json.ts";
import type { CallOutcome, ResultFormat } from "./result_writer.ts";

export const NUMBER_FORMATS = ["text", "json"] as const;

/** `text`: a value per line. `json`: an object per line, also for a failure. */
export type NumberFormat = typeof NUMBER_FORMATS[number];

/** How a call for a number ended. */
export interface NumberOutcome extends CallOutcome {
  /** The number as it was given. */
  readonly text: string;
  /** The result, in decimal. */
  readonly value?: string;
}

export function numberFormat(format: NumberFormat): ResultFormat<NumberOutcome> {
  const isJson = format === "json";
  return { print: isJson ? toJson : toText, printsFailures: isJson, linesOf: "standard input" };
}

function toText({ value }: NumberOutcome): string | undefined {
  return value === undefined ? undefined : `${value}\n`;
}

function toJson({ text, line, value, error, ms, requestId }: NumberOutcome): string {
  const trimmed = text.trim();
  // A number literal with all its digits, where it is one: JSON sets no limit.
  const digits = /^\d+$/.test(trimmed) ? trimmed.replace(/^0+(?=\d)/, "") : JSON.stringify(text);
  const result = error === undefined ? `"value":"${value}"` : failureJson(line, error);
  const rest = outcomeJson(ms, requestId);
  return `${printable(`{"v":1,"n":${digits},${result},${rest}}`)}\n`;
}
