/**
 * What a command learns of its request, in variables.
 *
 * @module
 */
import type { HandlerContext } from "../../rpc/server/handler.ts";

/**
 * How much a request may put into a command's environment, in UTF-16 code units:
 * each value, and all of them. Linux takes 128 KiB of one, and 2 MiB in all.
 */
const MAX_VALUE = 4_096;
const MAX_ALL = 65_536;

/** The headers of W3C Trace Context have variables of their own, as in other tools. */
const TRACE_CONTEXT = ["traceparent", "tracestate"];

/**
 * Makes the variables of a request. A value that a variable can't hold, or that
 * is no text, is left out; of two headers whose names become the same, the first
 * counts. What they hold comes from the caller: a command must not trust it.
 *
 * - `FIBRPC_REQUEST_ID`: the correlation id.
 * - `FIBRPC_DEADLINE_MS`: when its caller stops waiting, in milliseconds since 1970.
 * - `FIBRPC_REDELIVERED`: `true` if the request was delivered before, else `false`.
 * - `FIBRPC_CONTENT_TYPE`: the MIME type of the request.
 * - `FIBRPC_HEADER_<NAME>`: a header, with `_` for what is no letter of ASCII and no digit.
 * - `TRACEPARENT`, `TRACESTATE`: the headers of these names.
 */
export function requestEnvironment(context: HandlerContext): Record<string, string> {
  const env: Record<string, string> = { FIBRPC_REDELIVERED: String(context.redelivered) };
  let left = MAX_ALL;
  const set = (name: string, value: unknown) => {
    if (typeof value !== "string" || !isPossible(value) || name in env) return;
    left -= name.length + value.length;
    if (left >= 0) env[name] = value;
  };
  set("FIBRPC_REQUEST_ID", context.correlationId);
  set("FIBRPC_CONTENT_TYPE", context.contentType);
  const timeLeftMs = context.timeLeftMs();
  if (timeLeftMs !== undefined) {
    set("FIBRPC_DEADLINE_MS", String(Math.round(Date.now() + timeLeftMs)));
  }
  for (const [name, value] of Object.entries(context.headers)) {
    if (TRACE_CONTEXT.includes(name)) set(name.toUpperCase(), value);
    set(`FIBRPC_HEADER_${name.replaceAll(/[^A-Za-z0-9]/g, "_").toUpperCase()}`, value);
  }
  return env;
}

/** Text of bytes that are not UTF-8 has lone surrogates. */
function isPossible(value: string): boolean {
  return value.length <= MAX_VALUE && !value.includes("\0") && value.isWellFormed();
}
