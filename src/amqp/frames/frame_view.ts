/**
 * What the AMQP library reads frames from, without a new text for each name
 * that comes again with every message: a consumer's tag, a queue, a content
 * type. Making them takes a third of the time that the frames of a delivery
 * take.
 *
 * @module
 */
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";

/** The latest name of each length. Short strings have at most 255 bytes: AMQP 0-9-1, section 4.2.5.3. */
const known: string[] = [];

/** See the module. */
export class FrameView extends AMQPView {
  /** @ignore */
  override getShortString(at: number): [text: string, bytes: number] {
    const length = this.getUint8(at);
    const name = known[length];
    if (name !== undefined && this.#is(name, at + 1)) return [name, 1 + length];
    const read = super.getShortString(at);
    // Another length than its bytes' has what is not ASCII, but for U+FFFD, which no byte is.
    if (read[0].length === length) known[length] = read[0];
    return read;
  }

  /** From its end: numbered names differ there. */
  #is(name: string, at: number): boolean {
    for (let i = name.length - 1; i >= 0; i--) {
      if (name.charCodeAt(i) !== this.getUint8(at + i)) return false;
    }
    return true;
  }
}
