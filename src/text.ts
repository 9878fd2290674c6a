/**
 * Text that is shown to people, and text of theirs that is read.
 *
 * @module
 */

const QUOTED_CHARS = 60;

/** `text` in JSON's quotes, shortened, for a message that names a value: {@linkcode printable}. */
export function quote(text: string): string {
  const json = printable(JSON.stringify(text.slice(0, QUOTED_CHARS)));
  return text.length <= QUOTED_CHARS ? json : `${json}... (${text.length} characters)`;
}

/**
 * One line of `text`: what a terminal or a log could act on, or nobody can see,
 * is escaped as in JSON. That is control and format characters, line
 * separators, and every blank but the space. It leaves valid JSON valid.
 */
export function printable(text: string): string {
  return text.replace(
    /(?! )[\p{C}\p{Z}]/gu,
    (character) => Array.from(character.split(""), escape).join(""),
  );
}

function escape(codeUnit: string): string {
  return `\\u${codeUnit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Such as `1 reply` and `2 replies`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/** What a thrown value says. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** What a thrown value says, and where it was thrown. */
export function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.stack ?? String(thrown) : String(thrown);
}

/** The object that `text` holds in JSON; `undefined` if it holds none. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Not JSON: the caller says what it is instead.
  }
  return undefined;
}
