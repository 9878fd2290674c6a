/**
 * Lines of a byte stream.
 *
 * @module
 */

/**
 * Yields the lines of each chunk together, without their LF or CRLF. Blank
 * lines are left out; a last line needs no newline.
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder();
  /** Parts of the line that no newline has ended yet. */
  let open: string[] = [];
  for await (const chunk of stream) {
    const [first, ...others] = decoder.decode(chunk, { stream: true }).split(
      "\n",
    );
    open.push(first!);
    if (others.length === 0) continue;
    const last = others.pop()!;
    yield notBlank([open.join(""), ...others]);
    open = [last];
  }
  yield notBlank([open.join("") + decoder.decode()]);
}

function notBlank(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => line.trim() !== "").map((line) => line.replace(/\r$/, ""));
}
