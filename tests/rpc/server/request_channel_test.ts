import { assertEquals } from "@std/assert";
import type { Channel } from "../../../src/amqp/channel.ts";
import type { Connection } from "../../../src/amqp/connection.ts";
import type { Delivery, MessageProperties } from "../../../src/amqp/message.ts";
import {
  Observers,
  type RequestOutcome,
  ServerCounters,
} from "../../../src/rpc/server/observer.ts";
import { OwnLosses } from "../../../src/rpc/server/quarantine/own_losses.ts";
import type { ReplyProbe } from "../../../src/rpc/server/reply_to/reply_probe.ts";
import type { ReceivedRequest } from "../../../src/rpc/server/request.ts";
import { RequestChannel } from "../../../src/rpc/server/request_channel.ts";
import { CollectedLog } from "../../support/log.ts";

/** A channel that writes down what is asked of it, on a connection that can be blocked. */
class Scene {
  readonly asked: string[] = [];
  readonly losses = new OwnLosses(10);
  readonly counters = new ServerCounters();
  readonly requests: RequestChannel;
  readonly connection = {
    receivedAt: 0,
    blocked: undefined as string | undefined,
    blockedListeners: new Set<() => void>(),
  };
  settled = 0;
  refuses = false;
  #end: (reason: Error) => void = () => {};
  #tag = 0;

  constructor() {
    const channel = {
      onEnd: (listener: (reason: Error) => void) => this.#end = listener,
      publish: (to: string, body: string, properties: MessageProperties, mandatory: boolean) => {
        if (this.refuses) throw new RangeError("too long");
        const id = properties.correlationId ?? "none";
        this.asked.push(`publish ${body} to ${to}, id ${id}${mandatory ? ", mandatory" : ""}`);
      },
      ack: (tag: number) => this.asked.push(`ack ${tag}`),
      reject: (tag: number, requeue: boolean) =>
        this.asked.push(`reject ${tag}${requeue ? " requeue" : ""}`),
    };
    this.requests = new RequestChannel(
      this.connection as unknown as Connection,
      channel as unknown as Channel,
      {
        queue: "queue",
        probe: {} as ReplyProbe,
        losses: this.losses,
        observer: new Observers(this.counters),
        onSettled: () => this.settled += 1,
      },
    );
  }

  take(properties: MessageProperties = {}): ReceivedRequest {
    const message: Delivery = {
      routingKey: "queue",
      properties: { replyTo: "replies", ...properties },
      body: null,
      deliveryTag: ++this.#tag,
      redelivered: false,
    };
    return this.requests.take(message);
  }

  reply(request: ReceivedRequest, body = "1", outcome: RequestOutcome = "response"): void {
    this.requests.reply(request, { body, properties: {} }, outcome);
  }

  block(reason: string | undefined): void {
    this.connection.blocked = reason;
    for (const listener of this.connection.blockedListeners) listener();
  }

  end(): void {
    this.#end(new Error("the end"));
  }
}

Deno.test("RequestChannel: a reply leaves before its acknowledgement, with the request's id", () => {
  const scene = new Scene();
  const direct = "amq.rabbitmq.reply-to.g1.x";
  const requests = [
    scene.take({ correlationId: "a" }),
    scene.take({ correlationId: "" }),
    scene.take({ replyTo: direct }),
  ];
  for (const request of requests) scene.reply(request);
  assertEquals(scene.asked, [
    "publish 1 to replies, id a, mandatory",
    "ack 1",
    "publish 1 to replies, id , mandatory",
    "ack 2",
    `publish 1 to ${direct}, id none`,
    "ack 3",
  ]);
  assertEquals(requests.map(({ outcome }) => outcome), Array(3).fill("response"));
  assertEquals([scene.settled, scene.requests.open.size], [3, 0]);
});

Deno.test("RequestChannel: each way to settle a request has its outcome, which is counted", async () => {
  const scene = new Scene();
  const { requests } = scene;
  const [acked, rejected, requeued] = [scene.take(), scene.take(), scene.take()];
  const settled = acked.settled;
  requests.ack(acked, "expired");
  requests.reject(rejected, "caller_gone");
  requests.requeue(requeued);
  await settled;
  assertEquals(scene.asked, ["ack 1", "reject 2", "reject 3 requeue"]);
  assertEquals([acked, rejected, requeued].map(({ outcome }) => outcome), [
    "expired",
    "caller_gone",
    "returned",
  ]);
  const { requests: count, expired, abandoned } = scene.counters.stats;
  assertEquals([count, expired, abandoned, scene.settled], [3, 1, 1, 3]);
});

Deno.test("RequestChannel: replies wait until the broker takes messages again, in order", () => {
  const scene = new Scene();
  const requests = [scene.take(), scene.take()];
  scene.block("low on disk");
  for (const [n, request] of requests.entries()) scene.reply(request, String(n));
  scene.block("low on memory too");
  assertEquals([scene.asked, scene.requests.open.size, scene.counters.stats.responses], [[], 2, 0]);
  scene.block(undefined);
  assertEquals(scene.asked.map((line) => line.split(" ").slice(0, 2).join(" ")), [
    "publish 0",
    "ack 1",
    "publish 1",
    "ack 2",
  ]);
});

Deno.test("RequestChannel: what is open when the channel ends is lost, and asked for no more", () => {
  const scene = new Scene();
  const [open, held, done] = [scene.take(), scene.take(), scene.take()];
  scene.requests.ack(done, "expired");
  const { signal } = open;
  scene.block("low on disk");
  scene.reply(held);
  scene.end();
  scene.block(undefined);
  scene.reply(open);
  scene.requests.ack(open, "expired");
  scene.requests.reject(open, "rejected");
  scene.requests.requeue(open);
  assertEquals(scene.asked, ["ack 3"]);
  assertEquals([open, held, done].map(({ outcome }) => outcome), ["lost", "lost", "expired"]);
  assertEquals([signal.aborted, (signal.reason as Error).message], [true, "the end"]);
  assertEquals([scene.requests.isLost, scene.requests.lost?.message], [true, "the end"]);
  assertEquals([open, held, done].map((request) => scene.losses.has(request)), [true, true, true]);
  assertEquals([scene.settled, scene.connection.blockedListeners.size], [2, 0]);
});

Deno.test("RequestChannel: a reply that can't be sent is logged, and its request is settled", async () => {
  await using log = await CollectedLog.start();
  const scene = new Scene();
  scene.refuses = true;
  scene.reply(scene.take({ replyTo: "x".repeat(300) }));
  assertEquals([scene.asked, scene.requests.open.size], [["ack 1"], 0]);
  assertEquals(log.messages(/can't publish to .*too long/, "error").length, 1);
});
