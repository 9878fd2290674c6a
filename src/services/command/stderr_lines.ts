/**
 * What a command writes to its standard error, line by line.
 *
 * @module
 */

/** How long a line may be, in bytes: what is longer is cut. */
const MAX_LINE = 4_096;

/** How many lines of one command are passed on; the others are counted. */
const MAX_LINES = 1_000;

/** Splits bytes into lines of text. */
export class StderrLines {
  /** The last line that is not blank. */
  last = "";
  /** How many lines were too many to be passed on. */
  skipped = 0;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #open = "";
  #lines = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(bytes: Uint8Array): void {
    const [first = "", ...others] = this.#decoder.decode(bytes, { stream: true }).split("\n");
    this.#append(first);
    for (const next of others) {
      this.#endLine();
      this.#append(next);
    }
  }

  /** Ends a last line without a newline. */
  end(): void {
    this.#append(this.#decoder.decode());
    this.#endLine();
  }

  #append(text: string): void {
    this.#open += text.slice(0, MAX_LINE - this.#open.length);
  }

  #endLine(): void {
    const line = this.#open.trimEnd();
    this.#open = "";
    if (line === "") return;
    this.last = line;
    if (++this.#lines <= MAX_LINES) this.#onLine(line);
    else this.skipped += 1;
  }
}
