/**
 * Cuts what comes over a connection into frames (AMQP 0-9-1, section 2.3.5).
 *
 * @module
 */
import { FrameView } from "./frame_view.ts";

/** The type, the channel and the payload's size come before a frame's payload, a fixed byte after it. */
const START_BYTES = 7;
const END_BYTES = 1;
const SIZE_OFFSET = 3;

/** What a {@linkcode FrameReader} finds; the bytes may be overwritten after the call. */
export interface FrameEvents {
  /** One whole frame, or several in a row that are all plain. */
  readonly frames: (view: FrameView) => void;
  /** Whether a frame may be delivered in one view with its neighbours. */
  readonly isPlain: (bytes: Uint8Array, at: number) => boolean;
}

/**
 * Cuts one connection's bytes. Frames that came together are delivered in one view
 * where they may be: a view for each takes a tenth of the time of both ends
 * with many calls in flight.
 */
export class FrameReader {
  readonly #events: FrameEvents;
  /** The beginning of a frame whose rest has not come yet; its first `#kept` bytes count. */
  #partial = new Uint8Array(START_BYTES);
  #kept = 0;
  /** The largest frame that is taken, in bytes: a larger one is no frame. */
  maxBytes = Infinity;

  /** @param events Takes what is found. */
  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /**
   * Takes the next bytes.
   *
   * @throws What `frames` throws, or for a frame that is too large. Then the rest is lost.
   */
  push(bytes: Uint8Array): void {
    let at = this.#kept === 0 ? 0 : this.#complete(bytes);
    let delivered = at;
    while (at + START_BYTES <= bytes.length) {
      const end = at + this.#frameBytes(bytes, at);
      if (end > bytes.length) break;
      if (!this.#events.isPlain(bytes, at)) {
        this.#deliver(bytes, delivered, at);
        this.#deliver(bytes, at, end);
        delivered = end;
      }
      at = end;
    }
    this.#deliver(bytes, delivered, at);
    if (at < bytes.length) this.#keep(bytes, at, Infinity);
  }

  #frameBytes(bytes: Uint8Array, at: number): number {
    const size = frameBytes(bytes, at);
    if (size > this.maxBytes) throw new Error(`a frame of ${size} bytes is too large`);
    return size;
  }

  #deliver({ buffer, byteOffset }: Uint8Array, start: number, end: number): void {
    if (end > start) this.#events.frames(new FrameView(buffer, byteOffset + start, end - start));
  }

  /** @returns How many of `bytes` belong to the frame that was begun. */
  #complete(bytes: Uint8Array): number {
    let taken = this.#keep(bytes, 0, START_BYTES);
    if (this.#kept < START_BYTES) return taken;
    const size = this.#frameBytes(this.#partial, 0);
    taken += this.#keep(bytes, taken, size);
    if (this.#kept < size) return taken;
    this.#kept = 0;
    this.#deliver(this.#partial, 0, size);
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
