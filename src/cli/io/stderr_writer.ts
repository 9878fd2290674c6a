/**
 * Writing to standard error, whatever its reader does: the work goes on when
 * the reader is slow, stands still or goes away.
 *
 * @module
 */

/** How many characters wait for a slow reader; lines that come on top are dropped. */
const MAX_WAITING = 1_048_576;

/** How much is written at once: the reader is seen to read by each. */
const PIECE_CHARS = 4096;

/** How long the end of the process waits for a reader that takes nothing, in milliseconds. */
const FLUSH_MS = 1_000;

/** To its beginning, and clear to its end. */
const ERASE_LINE = "\r\x1b[K";

const utf8 = new TextEncoder();

/** What waits to be written. */
interface Waiting {
  readonly text: string;
  /** How many lines are lost if it can't be written. */
  readonly lines: number;
}

/** Writes lines in the background, and counts those that are lost. */
export class StderrWriter {
  /** Makes the line that takes the place of lost ones, once something can be written again. */
  describeLost: (count: number) => string = (count) =>
    `fibrpc: ${count} lines were dropped: nobody read them\n`;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  #status = "";
  #waiting: Waiting[] = [];
  #length = 0;
  #lost = 0;
  #writing: Promise<void> | undefined;
  #pieces = 0;

  /** @param write Writes all of the bytes; one call ends before the next. */
  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  /** A line that stays below all others, for a terminal; empty takes it away. */
  get status(): string {
    return this.#status;
  }

  set status(text: string) {
    if (this.#status !== "" || text !== "") this.#add({ text: ERASE_LINE + text, lines: 0 });
    this.#status = text;
  }

  /** Writes whole lines: now, later, or never. It neither waits nor throws. */
  write(text: string): void {
    if (this.#status === "") this.#writeLines(text);
    else this.#writeLines(`${ERASE_LINE}${text}${this.#status}`);
  }

  #writeLines(text: string): void {
    const lines = text.split("\n").length - 1;
    if (this.#length > 0 && this.#length + text.length > MAX_WAITING) {
      this.#lost += lines;
      return;
    }
    this.#describeLost();
    this.#add({ text, lines });
  }

  /** Resolves when all is written, or its reader has taken nothing for a second. */
  async flush(): Promise<void> {
    for (let seen = -1; this.#writing !== undefined && this.#pieces > seen;) {
      seen = this.#pieces;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, FLUSH_MS));
      await Promise.race([this.#writing, late]);
      clearTimeout(timer);
    }
  }

  #describeLost(): void {
    if (this.#lost === 0) return;
    this.#add({ text: this.describeLost(this.#lost), lines: this.#lost });
    this.#lost = 0;
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#length += waiting.text.length;
    this.#writing ??= this.#writeOut();
  }

  async #writeOut(): Promise<void> {
    await undefined; // What is written in one turn is written at once.
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        for (const piece of pieces(batch)) {
          await this.#write(utf8.encode(piece));
          this.#length -= piece.length;
          this.#pieces += 1;
        }
        if (this.#waiting.length === 0) this.#describeLost();
      } catch {
        for (const { lines } of batch) this.#lost += lines;
        this.#length = this.#waiting.reduce((sum, { text }) => sum + text.length, 0);
      }
    }
    this.#writing = undefined;
  }
}

/** The texts in pieces of some {@linkcode PIECE_CHARS}, cut between lines. */
function* pieces(batch: readonly Waiting[]): Generator<string> {
  let piece = "";
  for (const { text } of batch) {
    if (piece.length > 0 && piece.length + text.length > PIECE_CHARS) {
      yield piece;
      piece = "";
    }
    piece += text;
  }
  if (piece.length > 0) yield piece;
}
