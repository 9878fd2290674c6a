/**
 * What `amqp/` relies on in the AMQP library beyond its documented API. An
 * upgrade that changes one of these fails here, by its name.
 */
import type { AMQPChannel } from "@cloudamqp/amqp-client";
import { AMQPBaseClient } from "@cloudamqp/amqp-client/amqp-base-client";
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import { assert, assertEquals } from "@std/assert";
import { shortString, u16, u32, u8 } from "../support/raw_socket.ts";
import { closeChannel, closeConnection, send } from "../support/scripted_broker.ts";

/** The library's engine on no socket at all, with its protected members open. */
class Engine extends AMQPBaseClient {
  readonly sent: Uint8Array[] = [];
  isClosed = false;
  declare connectPromise?: [(value: unknown) => void, (reason: Error) => void];

  constructor() {
    super("/", "user", "swordfish", "name", "platform", 131_072, 0);
  }

  override connect(): Promise<never> {
    return Promise.reject(new Error("it has no socket"));
  }

  override send(bytes: Uint8Array): Promise<void> {
    this.sent.push(bytes);
    return Promise.resolve();
  }

  protected override closeSocket(): void {
    this.isClosed = true;
  }

  feed(bytes: Uint8Array): void {
    this.parseFrames(new AMQPView(bytes.slice().buffer));
  }
}

/** A method is sent some promises after it was asked for. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

interface Connected {
  readonly engine: Engine;
  readonly channel: AMQPChannel;
  readonly errors: string[];
}

/** An engine with an open channel, number 1. */
async function connected(): Promise<Connected> {
  const engine = new Engine();
  const errors: string[] = [];
  engine.onerror = ({ message }) => errors.push(message);
  engine.closed = false;
  engine.channels[0]!.onerror = () => {};
  engine.channel(1).catch(() => {});
  const channel = engine.channels[1]!;
  channel.onerror = (reason) => errors.push(`channel: ${reason}`);
  await turn();
  engine.feed(send("channel.open-ok", 1, u32(0)));
  await turn();
  return { engine, channel, errors };
}

Deno.test("the library: connectPromise is settled by connection.open-ok, or by a close", async () => {
  for (
    const [frame, expected] of [
      [send("connection.open-ok", 0, shortString("")), "opened"],
      [closeConnection(403, "ACCESS_REFUSED - no"), "connection closed: ACCESS_REFUSED - no (403)"],
    ] as const
  ) {
    const engine = new Engine();
    engine.onerror = () => {};
    const accepted = new Promise((resolve, reject) => engine.connectPromise = [resolve, reject]);
    engine.feed(frame);
    assertEquals(await accepted.then(() => "opened", ({ message }) => message), expected);
  }
});

Deno.test("the library: what is agreed on is in frameMax and heartbeat", () => {
  const engine = new Engine();
  engine.feed(send("connection.tune", 0, u16(7), u32(65_536), u16(30)));
  // The smaller of both, also where one of them is 0: `proposeHeartbeat` is there for that.
  assertEquals([engine.frameMax, engine.heartbeat], [65_536, 0]);
});

Deno.test("the library: a channel is in channels as soon as it is asked for, and gone when it is closed", async () => {
  const { engine, channel } = await connected();
  assertEquals([channel.id, channel.closed, engine.channels[1] === channel], [1, false, true]);
  engine.feed(closeChannel(1, 406, "PRECONDITION_FAILED - no"));
  assertEquals([channel.closed, engine.channels[1]], [true, undefined]);
});

Deno.test("the library: the texts of a channel's end and of a connection's", async () => {
  const { engine, errors } = await connected();
  engine.feed(closeChannel(1, 404, "NOT_FOUND - no queue"));
  assertEquals(errors, ["channel: channel 1 closed: NOT_FOUND - no queue (404)"]);
  const other = await connected();
  other.engine.feed(closeConnection(541, "INTERNAL_ERROR"));
  const text = "connection closed: INTERNAL_ERROR (541)";
  assertEquals(other.errors, [`channel: ${text}`, text]);
});

Deno.test("the library: channel.setClosed ends what waits on it, with the reason", async () => {
  const { channel, errors } = await connected();
  const waiting = channel.basicQos(1);
  await turn();
  channel.setClosed(new Error("lost"));
  assertEquals(await waiting.then(() => "done", ({ message }) => message), "lost");
  assertEquals([channel.closed, errors], [true, ["channel: lost"]]);
});

Deno.test("the library: a consumer is in consumers until either side cancels it", async () => {
  const { engine, channel } = await connected();
  const consuming = channel.basicConsume("queue", { noAck: true, tag: "t" }, () => {});
  await turn();
  engine.feed(send("basic.consume-ok", 1, shortString("t")));
  const consumer = await consuming;
  assertEquals([consumer.tag, channel.consumers.has("t")], ["t", true]);
  const ended = consumer.wait().then(() => "", ({ message }) => message);
  engine.feed(send("basic.cancel", 1, shortString("t"), u8(1)));
  assertEquals([await ended, channel.consumers.has("t")], [
    "Consumer cancelled by the server",
    false,
  ]);
});

Deno.test("the library: blocked holds the broker's reason, and both changes are called", async () => {
  const { engine } = await connected();
  const seen: unknown[] = [];
  engine.onblocked = () => seen.push(engine.blocked);
  engine.onunblocked = () => seen.push(engine.blocked);
  engine.feed(send("connection.blocked", 0, shortString("low on disk")));
  engine.feed(send("connection.unblocked", 0));
  assertEquals(seen, ["low on disk", undefined]);
});

Deno.test("the library: closeSocket is called when the close is confirmed", async () => {
  const { engine } = await connected();
  const closing = engine.close();
  await turn();
  engine.feed(send("connection.close-ok", 0));
  await closing;
  assertEquals(engine.isClosed, true);
});

Deno.test("the library: its errors hold the connection, which is why none of them leaves amqp/", () => {
  const engine = new Engine();
  const error = new AMQPError("text", engine);
  assert(Deno.inspect(error, { depth: 5, showHidden: true }).includes("swordfish"));
});
