/**
 * What one turn of the event loop sends, gathered into one write: a system
 * call per frame halves the throughput. Holding a turn's back for others, up to
 * a millisecond, gained nothing when it was measured first and a tenth later;
 * and where the broker is not busy, each call waits for nothing.
 *
 * @module
 */
import { headersOf, type Publish, roomFor, writePublish } from "./publish_frames.ts";

/** Gathered up to this many bytes: more than a turn usually sends. */
const BATCH_BYTES = 65_536;

/** Frames on their way to a socket. */
export class WriteBatch {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(BATCH_BYTES);
  #length = 0;

  /** @param write Takes bytes, and keeps them: no others are written over them. */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** Adds whole frames. */
  add(frames: Uint8Array): void {
    this.#makeRoom(frames.length);
    if (frames.length > BATCH_BYTES) {
      this.#write(frames.slice());
      return;
    }
    this.#bytes.set(frames, this.#length);
    this.#length += frames.length;
  }

  /**
   * Adds a message in frames of up to `frameMax` bytes.
   *
   * @throws {RangeError | TypeError} If it can't be encoded: then nothing is added.
   */
  addPublish(message: Publish, frameMax: number): void {
    const headers = headersOf(message);
    const room = roomFor(message, headers, frameMax);
    this.#makeRoom(room);
    if (room <= BATCH_BYTES) {
      this.#length = writePublish(this.#bytes, this.#length, message, headers, frameMax);
      return;
    }
    const bytes = new Uint8Array(room);
    this.#write(bytes.subarray(0, writePublish(bytes, 0, message, headers, frameMax)));
  }

  /** Writes what there is. */
  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    this.#write(bytes);
  }

  #makeRoom(room: number): void {
    if (this.#length + room > BATCH_BYTES) this.flush();
  }
}
