/**
 * The form in which some of the tutorial programs answer.
 *
 * @module
 */
import { parseJsonObject } from "../../text.ts";

/** A reply in the tutorials' own envelope. */
export type Envelope = { response: string } | { error: string };

/** A decimal integer as a reply holds it: a minus is understood, to be named in an error. */
const INTEGER = /^-?\d+$/;

/**
 * Decodes the form in which some of the tutorial programs answer,
 * `{"response": 832040, "error": null}` or `{"response": null, "error": "..."}`.
 *
 * @returns `undefined` if `text` is not of that form.
 */
export function decodeEnvelope(text: string): Envelope | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  const body = parseJsonObject(text);
  if (body === undefined || !("response" in body || "error" in body)) {
    return undefined;
  }
  if (body.error !== null && body.error !== undefined) {
    return {
      error: typeof body.error === "string" ? body.error : JSON.stringify(body.error),
    };
  }
  const { response } = body;
  const digits = typeof response === "number" ? memberOf(text, "response") : response;
  return typeof digits === "string" && INTEGER.test(digits) ? { response: digits } : undefined;
}

/** A string, a mark, or a number or literal, in what is known to be JSON. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/**
 * What stands in an object's text for one of its own members:
 * `JSON.parse` would round every number above 2^53.
 */
function memberOf(json: string, name: string): string | undefined {
  let depth = 0;
  let [before, colon] = ["", ""];
  let found: string | undefined;
  for (const [token] of json.matchAll(TOKEN)) {
    if (depth === 1 && colon === ":" && JSON.parse(before) === name) found = token;
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    [before, colon] = [colon, token];
  }
  return found;
}
