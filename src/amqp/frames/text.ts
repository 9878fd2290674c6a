/**
 * Strings as they are on the wire. They should be UTF-8, but RabbitMQ passes
 * on any bytes, and a correlation id must go back as it came. So each byte
 * that is not UTF-8 is read as a lone low surrogate, U+DC80 to U+DCFF, which
 * UTF-8 can't encode, and is written as that byte again.
 *
 * @module
 */

/** A surrogate minus this is the byte that it stands for. */
const ESCAPE = 0xdc00;

/** A lone surrogate that stands for a byte. */
const ESCAPED = /[\udc80-\udcff]/u;

/** What the decoder makes of bytes that are not UTF-8, and of the bytes of the character itself. */
const REPLACEMENT = "\uFFFD";

/** It keeps a byte order mark, which is a character like any other here. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The text of any bytes. */
export function decodeText(bytes: Uint8Array): string {
  const text = decoder.decode(bytes); // On Deno a `fatal` one takes twice as long.
  return text.includes(REPLACEMENT) ? decodeEscaped(bytes) : text;
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const code = codePointAt(bytes, at);
    text += String.fromCodePoint(code ?? ESCAPE + bytes[at]!);
    at += code === undefined ? 1 : MIN_CODE_POINTS.findLastIndex((min) => code >= min) + 1;
  }
  return text;
}

/** The smallest code points that UTF-8 encodes in one byte, two, three and four. */
const MIN_CODE_POINTS = [0, 0x80, 0x800, 0x10000];
const MAX_CODE_POINT = 0x10ffff;

/** The code point that UTF-8 encodes at an offset, if any (RFC 3629, section 3). */
function codePointAt(bytes: Uint8Array, at: number): number | undefined {
  const first = bytes[at]!;
  if (first < 0x80) return first;
  if (first < 0xc0 || first >= 0xf8) return undefined;
  const following = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  let code = first & (0x3f >> following);
  for (let i = 1; i <= following; i++) {
    const byte = bytes[at + i];
    if (byte === undefined || (byte & 0xc0) !== 0x80) return undefined;
    code = code << 6 | byte & 0x3f;
  }
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  const isShortest = code >= MIN_CODE_POINTS[following]!;
  return isShortest && !isSurrogate && code <= MAX_CODE_POINT ? code : undefined;
}

/**
 * Writes text, of which one with {@linkcode decodeText}'s escapes becomes the
 * bytes that it was read from.
 *
 * @param bytes Where to, with three bytes for each of the text's UTF-16 code units.
 * @param at At which place.
 * @returns Where it ends.
 */
export function writeText(bytes: Uint8Array, at: number, text: string): number {
  const end = writeShortAscii(bytes, at, text);
  if (end !== -1) return end;
  return text.isWellFormed() ? encode(bytes, at, text) : writeEscaped(bytes, at, text);
}

/** The bytes of {@linkcode decodeText}'s text. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(3 * text.length);
  return bytes.slice(0, writeText(bytes, 0, text));
}

/** The same as {@linkcode writeText} for text without escapes: a lone surrogate becomes U+FFFD. */
export function writeUtf8(bytes: Uint8Array, at: number, text: string): number {
  const end = writeShortAscii(bytes, at, text);
  return end === -1 ? encode(bytes, at, text) : end;
}

/** Up to this length a loop is faster than an encoder. */
const SHORT_CHARACTERS = 64;

/** Writes most names. @returns Where the text ends, or -1 if it is something else. */
function writeShortAscii(bytes: Uint8Array, at: number, text: string): number {
  if (text.length > SHORT_CHARACTERS) return -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return -1;
    bytes[at + i] = code;
  }
  return at + text.length;
}

function writeEscaped(bytes: Uint8Array, start: number, text: string): number {
  let at = start;
  for (const character of text) {
    if (ESCAPED.test(character)) bytes[at++] = character.charCodeAt(0) - ESCAPE;
    else at = encode(bytes, at, character);
  }
  return at;
}

function encode(bytes: Uint8Array, at: number, text: string): number {
  return at + encoder.encodeInto(text, bytes.subarray(at)).written;
}
