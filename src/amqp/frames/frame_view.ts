/**
 * What the AMQP library reads frames from, where it reads otherwise than is
 * needed here:
 *
 * - Strings keep bytes that are not UTF-8: see `text.ts`.
 * - A name that comes again with every message (a consumer's tag, a queue, a
 *   content type) is not made anew: that takes a third of the time that the
 *   frames of a delivery take.
 * - Nothing that is kept refers to the frame's bytes, which are overwritten.
 *
 * @module
 */
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import { decodeText } from "./text.ts";

/** The latest name of each length. Short strings have at most 255 bytes: AMQP 0-9-1, section 4.2.5.3. */
const known: string[] = [];

/** Reads a frame as the library does, but for what the module says. */
export class FrameView extends AMQPView {
  /** @ignore */
  override getShortString(at: number): [text: string, bytes: number] {
    const length = this.getUint8(at);
    const name = known[length];
    if (name !== undefined && this.#is(name, at + 1)) return [name, 1 + length];
    return [this.#readName(at + 1, length), 1 + length];
  }

  #readName(at: number, length: number): string {
    const text = decodeText(this.#bytes(at, length));
    // Text that is not ASCII is shorter than its bytes, or holds a character that is no byte.
    if (text.length === length) known[length] = text;
    return text;
  }

  /** @ignore */
  override getLongString(at: number): [text: string, bytes: number] {
    const length = this.getUint32(at);
    return [decodeText(this.#bytes(at + 4, length)), 4 + length];
  }

  /** @ignore */
  override getByteArray(at: number): [bytes: Uint8Array, length: number] {
    const length = this.getUint32(at);
    return [this.#bytes(at + 4, length).slice(), 4 + length];
  }

  /** @ignore The library's own writes to the console about numbers over 2^53. */
  override getUint64(at: number): number {
    return 2 ** 32 * this.getUint32(at) + this.getUint32(at + 4);
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.buffer, this.byteOffset + at, length);
  }

  /** From its end: numbered names differ there. */
  #is(name: string, at: number): boolean {
    for (let i = name.length - 1; i >= 0; i--) {
      if (name.charCodeAt(i) !== this.getUint8(at + i)) return false;
    }
    return true;
  }
}
