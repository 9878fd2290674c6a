/**
 * Cuts what comes over a connection into frames (AMQP 0-9-1, section 2.3.5).
 *
 * @module
 */
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";

export { AMQPView };

/** The type, the channel and the payload's size come before a frame's payload, a fixed byte after it. */
const START_BYTES = 7;
const END_BYTES = 1;
const SIZE_OFFSET = 3;

/** Cuts one connection's bytes. */
export class FrameReader {
  readonly #onFrame: (frame: AMQPView) => void;
  /** The beginning of a frame whose rest has not come yet; its first `#kept` bytes count. */
  #partial = new Uint8Array(START_BYTES);
  #kept = 0;

  /** @param onFrame Takes one whole frame; its bytes may be overwritten after the call. */
  constructor(onFrame: (frame: AMQPView) => void) {
    this.#onFrame = onFrame;
  }

  /**
   * Takes the next bytes.
   *
   * @throws What `onFrame` throws. Then the rest is lost.
   */
  push(bytes: Uint8Array): void {
    let at = this.#kept === 0 ? 0 : this.#complete(bytes);
    while (at + START_BYTES <= bytes.length) {
      const size = frameBytes(bytes, at);
      if (at + size > bytes.length) break;
      this.#onFrame(new AMQPView(bytes.buffer, bytes.byteOffset + at, size));
      at += size;
    }
    if (at < bytes.length) this.#keep(bytes, at, Infinity);
  }

  /** @returns How many of `bytes` belong to the frame that was begun. */
  #complete(bytes: Uint8Array): number {
    let taken = this.#keep(bytes, 0, START_BYTES);
    if (this.#kept < START_BYTES) return taken;
    const size = frameBytes(this.#partial, 0);
    taken += this.#keep(bytes, taken, size);
    if (this.#kept < size) return taken;
    this.#kept = 0;
    this.#onFrame(new AMQPView(this.#partial.buffer, 0, size));
    return taken;
  }

  /** Keeps bytes until there are `until`. @returns How many. */
  #keep(bytes: Uint8Array, at: number, until: number): number {
    const part = bytes.subarray(at, at + Math.max(until - this.#kept, 0));
    const needed = this.#kept + part.length;
    // By what came, not by the size that the frame says it has.
    if (needed > this.#partial.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#partial.length));
      larger.set(this.#partial.subarray(0, this.#kept));
      this.#partial = larger;
    }
    this.#partial.set(part, this.#kept);
    this.#kept = needed;
    return part.length;
  }
}

function frameBytes(bytes: Uint8Array, at: number): number {
  const size = at + SIZE_OFFSET;
  return START_BYTES + END_BYTES +
    ((bytes[size]! << 24 | bytes[size + 1]! << 16 | bytes[size + 2]! << 8 | bytes[size + 3]!) >>>
      0);
}
