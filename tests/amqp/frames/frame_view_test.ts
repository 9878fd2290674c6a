import { assertEquals } from "@std/assert";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import fc from "fast-check";
import { FrameView } from "../../../src/amqp/frames/frame_view.ts";

/** So few letters that many names are alike; two that are no ASCII, and two that are no UTF-8, one a letter's code. */
const letter = fc.constantFrom([0x61], [0x62], [0xc3, 0xa9], [0xe2, 0x82, 0xac], [0xff], [0xe9]);
const name = fc.array(letter, { maxLength: 4 }).map((letters) => letters.flat());

Deno.test("FrameView: short strings are what the library reads, whichever came before", () => {
  fc.assert(fc.property(fc.array(name, { minLength: 1, maxLength: 40 }), (names) => {
    const { buffer } = new Uint8Array(names.flatMap((bytes) => [bytes.length, ...bytes]));
    const [view, theirs] = [new FrameView(buffer), new AMQPView(buffer)];
    for (let at = 0; at < buffer.byteLength;) {
      const read = view.getShortString(at);
      assertEquals(read, theirs.getShortString(at));
      at += read[1];
    }
  }));
});
