/** What a caller gets back as it sent it: on the runtime of these tests, and on that of the executable. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { FibonacciServer } from "../../src/services/fibonacci/server.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { spawnFibrpc } from "../support/fibrpc_command.ts";
import { bytesOf, type RawMessage, RawSocket } from "../support/raw_socket.ts";
import { waitFor } from "../support/wait.ts";

const broker = await sharedBroker();

const SERVERS = {
  async library(queue: string): Promise<AsyncDisposable> {
    const server = new FibonacciServer({ url: broker.url, queue, maxN: 2_000_000 });
    await server.start();
    return server;
  },
  async executable(queue: string): Promise<AsyncDisposable> {
    const server = spawnFibrpc([
      "serve",
      "--url",
      broker.url,
      "--queue",
      queue,
      "--max-n",
      "2000000",
    ]);
    await server.waitForStderr(/Awaiting RPC requests/);
    return server;
  },
};

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** The next message in a queue, when it comes. */
function next(socket: RawSocket, queue: string): Promise<RawMessage> {
  return waitFor(() => socket.get(queue), { what: `a reply on ${JSON.stringify(queue)}` });
}

for (const [name, start] of Object.entries(SERVERS)) {
  Deno.test(`byte for byte (${name}): any correlation id comes back, with a result or an error`, async () => {
    const queue = uniqueQueue("bytes");
    await using _server = await start(queue);
    await using socket = await RawSocket.open(broker.url);
    const replyTo = uniqueQueue("replies");
    await socket.declare(replyTo);
    const ids = Array.from({ length: 256 }, (_, length) => randomBytes(length));
    ids.push(...["\ufffd", "\ufeff", "\0", "\ufeffid"].map(bytesOf));
    ids.push(new Uint8Array([0xff]), new Uint8Array([0xed, 0xb2, 0x80]));
    const sent = ids.flatMap((correlationId) => [
      { correlationId, body: "10", reply: "55" },
      { correlationId, body: "-1", reply: "invalid_argument" },
    ]);
    for (const { correlationId, body } of sent) {
      await socket.publish(queue, body, { correlationId, replyTo });
    }
    const got: string[] = [];
    for (let count = 0; count < sent.length; count++) {
      const { body, properties } = await next(socket, replyTo);
      const text = new TextDecoder().decode(body);
      got.push(`${properties.correlationId}: ${text === "55" ? text : JSON.parse(text).code}`);
    }
    assertEquals(got.sort(), sent.map((one) => `${one.correlationId}: ${one.reply}`).sort());
  });

  Deno.test(`byte for byte (${name}): a reply goes to any name that a queue can have`, async () => {
    const queue = uniqueQueue("bytes");
    await using _server = await start(queue);
    await using socket = await RawSocket.open(broker.url);
    for (const suffix of ["\ufffd", "\ufeff", "\u{1F600}", "\0"]) {
      const replyTo = `\ufeff${uniqueQueue("replies")}${suffix}`;
      await socket.declare(replyTo);
      // Of a large number the server looks first whether its caller is there.
      for (const [body, digits] of [["30", 6], ["2000000", 417_975]] as const) {
        await socket.publish(queue, body, { correlationId: body, replyTo });
        const { body: reply, properties } = await next(socket, replyTo);
        assertEquals([properties.correlationId, reply.length], [bytesOf(body), digits]);
      }
    }
  });
}

Deno.test("byte for byte: no queue can have a name that is not UTF-8", async () => {
  await using socket = await RawSocket.open(broker.url);
  const error = await assertRejects(() => socket.declare(new Uint8Array([0xff])), Error);
  assertStringIncludes(error.message, "501");
});
