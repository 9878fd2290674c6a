/**
 * Reading the values of options.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";
import parseDuration from "parse-duration";
import { MAX_TIMEOUT_MS } from "../../checks.ts";

/** parse-duration skips what it doesn't know; this is what it may see. */
const DURATION = /^(\d+(\.\d+)?(ms|s|m|h|d))+$/;

/** A time such as `5s`, `500ms` or `1m30s`, in milliseconds. */
export function duration(text: string): number {
  const ms = DURATION.test(text) ? parseDuration(text) : null;
  if (ms === null) {
    throw new InvalidArgumentError(
      /^\d+$/.test(text)
        ? `It needs a unit: ${text}s, ${text}ms.`
        : "It is a time such as 5s, 500ms or 1m30s.",
    );
  }
  if (ms > 0 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new InvalidArgumentError("It must be over 0 and at most 24d.");
}

/** A heartbeat in whole seconds: `15`, `15s`; `0` turns it off. */
export function heartbeat(text: string): number {
  if (/^\d{1,5}$/.test(text)) return wholeNumber(0, 65_535)(text);
  const seconds = duration(text) / 1000;
  if (Number.isInteger(seconds) && seconds <= 65_535) return seconds;
  throw new InvalidArgumentError("It is in whole seconds, at most 65535.");
}

/** A whole number from `min` to `max`. */
export function wholeNumber(
  min: number,
  max: number,
): (text: string) => number {
  return (text) => {
    const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(
      `It is a whole number from ${min} to ${max}.`,
    );
  };
}

/** One of a few words. */
export function oneOf<Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((word) => word === text);
    if (word === undefined) throw new InvalidArgumentError(`It is one of: ${words.join(", ")}.`);
    return word;
  };
}

const ADDRESS = /^(?:(\[[\da-f:.]+\]|[^\s:[\]/@]*)(:))?(\d{1,5})$/i;

/** `[host:]port`: without a host on loopback, with an empty one on all interfaces. */
export function listenAddress(text: string): { host: string | undefined; port: number } {
  const [, host = "", colon, digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 65_535)) {
    throw new InvalidArgumentError("It is a port, :port or host:port, such as 9464 or [::1]:9464.");
  }
  if (colon === undefined) return { host: "127.0.0.1", port };
  return { host: host === "" ? undefined : host.replace(/^\[|\]$/g, ""), port };
}

export function collect(text: string, before: string[] | undefined): string[] {
  return [...before ?? [], text];
}

/** Whether a name matches one of the patterns; `*` stands for any characters, also none. */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  const all = patterns.map((pattern) => pattern.split("*"));
  return (name) => all.some((parts) => matches(name, parts));
}

/**
 * Takes each part at the first place where it can be: another place leaves less for those after it.
 * A regular expression would try them all, for seconds, whatever name a stranger sends.
 */
function matches(name: string, [first = "", ...others]: readonly string[]): boolean {
  const last = others.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let end = first.length;
  for (const part of others) {
    const start = name.indexOf(part, end);
    if (start === -1) return false;
    end = start + part.length;
  }
  return end <= name.length - last.length;
}
