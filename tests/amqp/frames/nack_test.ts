import { assertEquals } from "@std/assert";
import { FrameView } from "../../../src/amqp/frames/frame_view.ts";
import { clearRequeue } from "../../../src/amqp/frames/nack.ts";
import { concat, u16, u32, u64, u8 } from "../../support/raw_socket.ts";

/** A method's frame with a delivery tag and bits. */
const method = (type: number, classId: number, methodId: number, bits: number) =>
  concat(u8(type), u16(1), u32(13), u16(classId), u16(methodId), u64(7n), u8(bits), u8(0xce));

Deno.test("clearRequeue: of a nack the bit requeue, and of nothing else", () => {
  const cases = [
    [method(1, 60, 120, 3), 1],
    [method(1, 60, 120, 2), 0],
    [method(1, 60, 120, 1), 1],
    [method(1, 60, 80, 3), 3],
    [method(1, 10, 120, 3), 3],
    [method(3, 60, 120, 3), 3],
  ] as const;
  for (const [frame, bits] of cases) {
    const expected = concat(frame.slice(0, -2), u8(bits), u8(0xce));
    clearRequeue(new FrameView(frame.buffer));
    assertEquals(frame, expected);
  }
});
