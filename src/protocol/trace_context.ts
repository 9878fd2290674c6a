/**
 * The header that says which trace a message belongs to.
 *
 * W3C Trace Context, section 3.2: https://www.w3.org/TR/trace-context/
 *
 * @module
 */

/** The header of a trace's and a span's ids; the same name in a message's headers as in HTTP's. */
export const TRACEPARENT = "traceparent";

/** The header of what tracing systems add to it. */
export const TRACESTATE = "tracestate";

/** Version, trace id, parent id, flags; a later version may have more behind it. */
const PATTERN = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(-.*)?$/;

/** The trace id in a message's headers, if they hold a valid one. */
export function traceIdOf(
  headers: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  const header = headers?.[TRACEPARENT];
  if (typeof header !== "string") return undefined;
  const [, version, traceId, rest] = PATTERN.exec(header) ?? [];
  return version === "00" && rest !== undefined ? undefined : traceId;
}
