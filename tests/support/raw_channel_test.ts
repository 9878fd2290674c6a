import { assertRejects } from "@std/assert";
import { RawChannel } from "./raw_channel.ts";

/** A `connection.start` as short as can be. */
const START = new Uint8Array([1, 0, 0, 0, 0, 0, 18, 0, 10, 0, 10, 0, 9, ...Array(12).fill(0), 206]);

Deno.test("RawChannel.open() rejects where the connection ends in the middle of the handshake", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (let i = 0; i < 5; i++) {
    const opening = RawChannel.open(`amqp://127.0.0.1:${listener.addr.port}`);
    opening.catch(() => {});
    const connection = await listener.accept();
    await connection.write(START);
    connection.close(); // What was sent to it is unread: a reset.
    await assertRejects(() => opening, Error);
  }
});
