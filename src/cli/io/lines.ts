/**
 * Lines of a byte stream.
 *
 * @module
 */

/** One line, without its LF or CRLF. */
export interface Line {
  /** Its number, from 1; blank ones count. */
  readonly number: number;
  readonly text: string;
}

/** How long a line may be, in characters: it is held in memory until it ends. */
const MAX_LINE_LENGTH = 8_388_608;

/** What Windows' editors begin a file with; it comes in the middle where files are joined. */
const BYTE_ORDER_MARK = "\uFEFF";

/**
 * Yields the lines of each chunk together. Blank lines are left out; a last
 * line needs no newline.
 *
 * @throws {Error} If a line has over 8 Mi characters.
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly Line[]> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Parts of the line that no newline has ended yet. */
  let open: string[] = [];
  let openLength = 0;
  let number = 1;
  for await (const chunk of stream) {
    const texts = decoder.decode(chunk, { stream: true }).split("\n");
    open.push(texts[0]!);
    openLength += texts[0]!.length;
    if (openLength > MAX_LINE_LENGTH) {
      throw new Error(`line ${number} is longer than ${MAX_LINE_LENGTH} characters`);
    }
    if (texts.length === 1) continue;
    texts[0] = open.join("");
    open = [texts.pop()!];
    openLength = open[0]!.length;
    yield toLines(texts, number);
    number += texts.length;
  }
  yield toLines([open.join("") + decoder.decode()], number);
}

function toLines(texts: readonly string[], first: number): readonly Line[] {
  return texts.map((text, index): Line => ({ number: first + index, text: bare(text) }))
    .filter(({ text }) => text.trim() !== "");
}

function bare(text: string): string {
  return text.slice(text.startsWith(BYTE_ORDER_MARK) ? 1 : 0, text.endsWith("\r") ? -1 : undefined);
}
