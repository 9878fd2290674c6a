/**
 * Files that hold text, such as a password or a certificate: read whole, again
 * and again, since they may be replaced while the process runs.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";
import { within } from "../../time.ts";
import { RpcError } from "../../errors.ts";
import { messageOf } from "../../text.ts";

/** Far more than any of them holds; `/dev/zero` has no end. */
const MAX_BYTES = 1024 * 1024;

/** Long enough for somebody to type the passphrase that the other end of a pipe asks for. */
const READ_TIMEOUT_MS = 60_000;

/** Reads a text file that an option names. */
export class TextFile {
  /** The option and the file, for a message. */
  readonly name: string;
  readonly #path: string;
  /** What came out of a pipe: it comes once. */
  #piped: string | undefined;

  constructor(path: string, option: string) {
    this.#path = path;
    this.name = `${option} ${JSON.stringify(path)}`;
  }

  /**
   * Reads it. A byte order mark is left out.
   *
   * @param timeoutMs For how long, in milliseconds: nobody may ever write to a pipe.
   * @throws {RpcError} `invalid_argument` if it can't be read, is longer than 1 MiB, or is not
   * text in UTF-8. The message shows nothing of it.
   */
  async read(timeoutMs = READ_TIMEOUT_MS): Promise<string> {
    if (this.#piped !== undefined) return this.#piped;
    const { signal } = new AbortController(); // A signal to the process ends it all the same.
    try {
      return this.#decode(await within(this.#readBytes(), timeoutMs, signal, "no end came"));
    } catch (error) {
      if (error instanceof RpcError) throw error;
      const why = messageOf(error);
      throw new RpcError("invalid_argument", `can't read ${this.name}: ${why}`);
    }
  }

  async #readBytes(): Promise<{ bytes: Uint8Array; isPipe: boolean }> {
    const file = await getBuiltinModule("node:fs").promises.open(this.#path);
    try {
      const bytes = new Uint8Array(MAX_BYTES + 1);
      let length = 0;
      let bytesRead: number;
      do {
        ({ bytesRead } = await file.read(bytes, length, bytes.length - length, null));
        length += bytesRead;
      } while (bytesRead > 0 && length < bytes.length);
      return { bytes: bytes.subarray(0, length), isPipe: !(await file.stat()).isFile() };
    } finally {
      await file.close();
    }
  }

  #decode({ bytes, isPipe }: { bytes: Uint8Array; isPipe: boolean }): string {
    const refuse = (why: string) => new RpcError("invalid_argument", `${this.name} ${why}`);
    if (bytes.length > MAX_BYTES) throw refuse(`is longer than ${MAX_BYTES} bytes`);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      throw refuse("is not text in UTF-8");
    }
    // UTF-16 without a mark is UTF-8 with these.
    if (text.includes("\0")) throw refuse("is not text in UTF-8: it holds a NUL character");
    if (isPipe) this.#piped = text;
    return text;
  }
}
