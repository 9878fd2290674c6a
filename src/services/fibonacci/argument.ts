/**
 * The rules for n as text: what the server accepts and what the client sends.
 *
 * @module
 */
import { RpcError } from "../../errors.ts";
import { quote } from "../../text.ts";

export interface ArgumentOptions {
  /** The largest n that is accepted: up to `Number.MAX_SAFE_INTEGER`. */
  readonly maxN: number;
}

/** No number up to `Number.MAX_SAFE_INTEGER` has more digits. */
const MAX_SAFE_DIGITS = 16;

/** How much of a long value a message shows, in characters: as much as `quote` does. */
const SHOWN_CHARS = 60;

/** How much of a body that is not text a message shows, in bytes. */
const SHOWN_BYTES = 16;

/** What most arguments are: nothing to take away, nothing to refuse. */
const CANONICAL = /^(?:0|[1-9][0-9]*)$/;

const ZERO = 48;
const NINE = 57;

/**
 * Decodes the body of a request: n in decimal ASCII digits. Leading zeros and
 * whitespace around it are accepted.
 *
 * Whitespace is what Python's `int()` skips around the digits in `bytes`
 * (space, \t, \n, \v, \f and \r), as the tutorial's server does. What else
 * `int()` takes is refused: signs, and underscores between digits.
 *
 * The time is linear in the size of the body, and needs no copy of it.
 *
 * @throws `RpcError` `invalid_argument` if the body is anything else, and
 * `out_of_range` if n is over `maxN`, however many digits it has.
 */
export function decodeArgument(
  body: Uint8Array,
  { maxN }: ArgumentOptions,
): number {
  const digits = significantDigits(body);
  if (digits.length <= MAX_SAFE_DIGITS) {
    let n = 0;
    for (let i = 0; i < digits.length; i++) n = n * 10 + (digits[i]! - ZERO);
    if (n <= maxN) return n;
  }
  const n = digits.length <= SHOWN_CHARS ? decode(digits) : excerpt(digits);
  throw new RpcError(
    "out_of_range",
    `n = ${n} is over this server's limit of ${maxN}`,
  );
}

/**
 * Checks an argument before it is sent, by the rules of
 * {@linkcode decodeArgument}. Only the server knows the largest n.
 *
 * @returns The digits alone: no whitespace, no leading zeros.
 * @throws `RpcError` `invalid_argument`.
 */
export function checkArgument(text: string): string {
  if (CANONICAL.test(text)) return text;
  return decode(significantDigits(new TextEncoder().encode(text)));
}

/** The digits of n, without leading zeros; that of 0 is "0". */
function significantDigits(body: Uint8Array): Uint8Array {
  let start = 0;
  let end = body.length;
  while (start < end && isWhitespace(body[start]!)) start++;
  while (end > start && isWhitespace(body[end - 1]!)) end--;
  if (start === end) throw invalidArgument(body);
  for (let i = start; i < end; i++) {
    if (body[i]! < ZERO || body[i]! > NINE) throw invalidArgument(body);
  }
  while (start < end - 1 && body[start] === ZERO) start++;
  // Mostly there is nothing to take away, and a view takes longer than all of the above.
  return end - start === body.length ? body : body.subarray(start, end);
}

/** Space, \t, \n, \v, \f and \r. */
function isWhitespace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

function invalidArgument(body: Uint8Array): RpcError {
  return new RpcError(
    "invalid_argument",
    `${excerpt(body)} is not a non-negative decimal integer`,
  );
}

function excerpt(body: Uint8Array): string {
  // No character of UTF-8 has more than 4 bytes.
  const isWhole = body.length <= 4 * SHOWN_CHARS;
  let text: string;
  try {
    text = decode(body.subarray(0, 4 * SHOWN_CHARS), isWhole);
  } catch {
    const shown = Array.from(
      body.subarray(0, SHOWN_BYTES),
      (byte) => byte.toString(16).padStart(2, "0"),
    );
    if (body.length > SHOWN_BYTES) shown.push("...");
    return `a body of ${body.length} bytes that are not UTF-8 (${shown.join(" ")})`;
  }
  if (isWhole) return quote(text);
  return `${quote(text.slice(0, SHOWN_CHARS))}... (${body.length} bytes)`;
}

/** @throws `TypeError` if `bytes` are not UTF-8, or end within a character of a whole text. */
function decode(bytes: Uint8Array, isWhole = true): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    .decode(bytes, { stream: !isWhole });
}
