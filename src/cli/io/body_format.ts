/**
 * How the results of calls with bodies are printed.
 *
 * @module
 */
import { printable } from "../../text.ts";
import { failureJson, outcomeJson } from "./outcome_json.ts";
import type { CallOutcome, ResultFormat } from "./result_writer.ts";

export const BODY_FORMATS = ["raw", "text", "json"] as const;

/**
 * - `raw`: a response's bytes, and nothing else.
 * - `text`: the same, with a newline at the end unless there is one.
 * - `json`: an object per line, also for a failure.
 */
export type BodyFormat = typeof BODY_FORMATS[number];

/** A response as it came. */
export interface Response {
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly headers: Readonly<Record<string, unknown>> | undefined;
}

/** How a call with a body ended. */
export interface BodyOutcome extends CallOutcome {
  /** Which of the bodies it was, from 0. */
  readonly index: number;
  readonly response?: Response;
}

const NEWLINE = 10;

/**
 * @param linesOf What the lines are of.
 * @param isTerminal Whether a terminal shows it: then nothing in a response may act on it.
 */
export function bodyFormat(
  format: BodyFormat,
  linesOf: string,
  isTerminal: boolean,
): ResultFormat<BodyOutcome> {
  if (format === "json") return { print: toJson, printsFailures: true, linesOf };
  return {
    linesOf,
    print({ response }) {
      if (response === undefined) return undefined;
      const { body } = response;
      if (isTerminal) return onTerminal(new TextDecoder().decode(body), format);
      return format === "text" && body.at(-1) !== NEWLINE ? withNewline(body) : body;
    },
    printsFailures: false,
  };
}

function withNewline(body: Uint8Array): Uint8Array {
  const line = new Uint8Array(body.length + 1);
  line.set(body);
  line[body.length] = NEWLINE;
  return line;
}

/** Lines and tabs stay what they are. */
function onTerminal(text: string, format: BodyFormat): string {
  const shown = text.split(/(\r?\n|\t)/).map((part, i) => i % 2 === 1 ? part : printable(part))
    .join("");
  return format === "text" && !shown.endsWith("\n") ? `${shown}\n` : shown;
}

function toJson({ index, line, response, error, ms, requestId }: BodyOutcome): string {
  const result = error === undefined ? responseJson(response!) : failureJson(line, error);
  return `${printable(`{"v":1,"i":${index},${outcomeJson(ms, requestId)},${result}}`)}\n`;
}

/** The members that a response has in JSON, without braces. */
function responseJson({ body, contentType, headers }: Response): string {
  const members = { contentType, headers: headers && plain(headers), ...bodyMember(body) };
  return JSON.stringify(members).slice(1, -1);
}

function bodyMember(body: Uint8Array): { body: string } | { bodyBase64: string } {
  try {
    // A byte order mark is a part of the body.
    return { body: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body) };
  } catch {
    return { bodyBase64: new Uint8Array(body).toBase64() };
  }
}

/** Headers may be what JSON has not: large numbers, times, bytes. */
function plain(headers: Readonly<Record<string, unknown>>): unknown {
  return JSON.parse(JSON.stringify(headers, (_, value) => {
    if (typeof value === "bigint") return String(value);
    return value instanceof Uint8Array ? value.toBase64() : value;
  }));
}
