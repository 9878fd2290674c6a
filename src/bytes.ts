/**
 * Bytes.
 *
 * @module
 */

const utf8 = new TextEncoder();

/** How many bytes `text` has in UTF-8. */
export function utf8Length(text: string): number {
  return utf8.encode(text).length;
}

/** All parts in one, in memory of its own. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
