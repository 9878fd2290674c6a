import { assertEquals, assertMatch } from "@std/assert";
import type { Delivery, MessageProperties } from "../../../src/amqp/message.ts";
import { RpcError } from "../../../src/errors.ts";
import { Dispatcher } from "../../../src/rpc/server/dispatcher.ts";
import {
  Observers,
  type RequestOutcome,
  ServerCounters,
} from "../../../src/rpc/server/observer.ts";
import { RequeueError, type RpcHandler } from "../../../src/rpc/server/handler.ts";
import { resolveServeOptions, type ServeOptions } from "../../../src/rpc/server/options.ts";
import { CollectedLog } from "../../support/log.ts";
import { texts } from "../../support/services.ts";
import { waitFor } from "../../support/wait.ts";
import {
  ReceivedRequest,
  type Reply,
  type SettlementChannel,
} from "../../../src/rpc/server/request.ts";

/** A dispatcher, and requests on a channel that writes down how each is settled. */
class Scene {
  readonly settled: [body: string, outcome: RequestOutcome, reply?: string][] = [];
  readonly counters = new ServerCounters();
  readonly dispatcher: Dispatcher<string, string>;
  isCallerGone = false;
  #lost = false;

  constructor(
    handler: RpcHandler<string, string>,
    options: ServeOptions & { maxMessageBytes?: number } = {},
    checkReplyTo: (replyTo: string) => string | undefined | Promise<string | undefined> = () =>
      undefined,
  ) {
    this.dispatcher = new Dispatcher({
      maxMessageBytes: 1_000_000,
      ...options,
      ...resolveServeOptions(options),
      service: texts("echo"),
      ownQueues: new Set(["echo"]),
      handler,
      counters: this.counters,
      observer: new Observers(this.counters),
      checkReplyTo,
    });
  }

  request(text: string, properties: MessageProperties = {}): ReceivedRequest {
    const body = new TextEncoder().encode(text);
    const message: Delivery = {
      routingKey: "echo",
      properties: { replyTo: "replies", ...properties },
      body,
      deliveryTag: 1,
      redelivered: false,
    };
    const settle = (request: ReceivedRequest, outcome: RequestOutcome, reply?: Reply) => {
      this.settled.push(
        reply === undefined ? [text, outcome] : [text, outcome, String(reply.body)],
      );
      request.settle(outcome);
    };
    const isLost = () => this.#lost;
    const channel = {
      queue: "echo",
      get isLost() {
        return isLost();
      },
      reply: (request: ReceivedRequest, reply: Reply, outcome: RequestOutcome) =>
        settle(request, outcome, reply),
      ack: settle,
      reject: settle,
      requeue: (request: ReceivedRequest) => settle(request, "returned"),
      isCallerGone: () => Promise.resolve(this.isCallerGone),
    } as unknown as SettlementChannel;
    return new ReceivedRequest(channel, message, performance.now());
  }

  lose(...requests: ReceivedRequest[]): void {
    this.#lost = true;
    for (const request of requests) request.settle("lost");
    this.#lost = false;
  }
}

/** A handler that answers when it is told to. */
function held() {
  const open: { text: string; answer: (text: string) => void }[] = [];
  const handler: RpcHandler<string, string> = (text) =>
    new Promise((answer) => open.push({ text, answer }));
  return { open, handler };
}

Deno.test("Dispatcher: a response, an error of the handler's choice, and one that it did not choose", async () => {
  const scene = new Scene((text) => {
    if (text === "range") throw new RpcError("out_of_range", "too far");
    if (text === "bug") throw new TypeError("secret");
    return text === "later" ? Promise.reject(new RpcError("unavailable", "not now")) : text;
  });
  for (const text of ["hello", "range", "bug", "later"]) {
    await scene.dispatcher.serve(scene.request(text));
  }
  assertEquals(scene.settled, [
    ["hello", "response", "hello"],
    ["range", "out_of_range", '{"code":"out_of_range","message":"too far"}'],
    [
      "bug",
      "internal",
      '{"code":"internal","message":"the server failed; its log says why"}',
    ],
    ["later", "unavailable", '{"code":"unavailable","message":"not now"}'],
  ]);
});

Deno.test("Dispatcher.admit: what can't be answered is rejected, also when that is found out later", async () => {
  const scene = new Scene(
    (text) => text,
    { allowReplyTo: (name) => name !== "forbidden" },
    (name) => name === "dead" ? Promise.resolve("it is dead") : undefined,
  );
  const admit = (replyTo: string) => scene.dispatcher.admit(scene.request(replyTo, { replyTo }));
  assertEquals(
    await Promise.all(["", "echo", "amq.topic", "forbidden", "dead", "fine"].map(admit)),
    [
      false,
      false,
      false,
      false,
      false,
      true,
    ],
  );
  assertEquals(scene.settled.map(([, outcome]) => outcome), Array(5).fill("rejected"));
});

Deno.test("Dispatcher: what has expired is neither started nor answered", async () => {
  const { open, handler } = held();
  const scene = new Scene(handler);
  const late = scene.request("late", { expiration: "20" });
  const serving = scene.dispatcher.serve(late);
  while (!late.expired) await new Promise((resolve) => setTimeout(resolve, 1));
  open[0]!.answer("too late");
  await serving;
  const early = scene.request("early", { expiration: "1" });
  while (!early.expired) await new Promise((resolve) => setTimeout(resolve, 1));
  await scene.dispatcher.serve(early);
  assertEquals([open.length, scene.settled], [1, [["late", "expired"], ["early", "expired"]]]);
});

Deno.test("Dispatcher: a handler that is done leaves no timer of its limit on time", async () => {
  const scene = new Scene((text) => Promise.resolve(text), { maxTimeMs: 60_000 });
  await scene.dispatcher.serve(scene.request("hello"));
  assertEquals(scene.settled, [["hello", "response", "hello"]]);
});

Deno.test("Dispatcher: a handler that can't work gives its request back", async () => {
  await using log = await CollectedLog.start();
  // Also as another copy of the package makes it.
  const handlers = await import(`../../../src/rpc/server/handler.ts?${crypto.randomUUID()}`) as {
    RequeueError: typeof RequeueError;
  };
  const errors = [new RequeueError("no memory"), new handlers.RequeueError("no memory")];
  assertEquals(errors[1] instanceof RequeueError, false);
  const scene = new Scene(() => Promise.reject(errors.shift()));
  await scene.dispatcher.serve(scene.request("one"));
  await scene.dispatcher.serve(scene.request("two"));
  assertEquals(scene.settled, [["one", "returned"], ["two", "returned"]]);
  assertEquals(log.messages(/no memory/, "warning"), ["request - goes back to echo: no memory"]);
  assertEquals(scene.counters.stats.errors, 0);
});

Deno.test("Dispatcher: a handler that was given up counts as running until it has ended", async () => {
  const ending = Promise.withResolvers<string>();
  const scene = new Scene(() => ending.promise, { maxTimeMs: 10, concurrency: 1 });
  let isOver = false;
  const served = Promise.resolve(scene.dispatcher.serve(scene.request("one"))).then(() =>
    isOver = true
  );
  await waitFor(() => scene.settled.length === 1, { what: "the reply" });
  assertEquals(scene.settled[0]![1], "resource_exhausted");
  for (let i = 0; i < 20; i++) await undefined;
  assertEquals(isOver, false);
  ending.resolve("too late");
  await served;
  assertEquals(scene.settled.length, 1);
});

Deno.test("Dispatcher: a caller that is seen to be gone gets no reply", async () => {
  const scene = new Scene(async (text, { isCallerGone }) => {
    await isCallerGone();
    return text;
  });
  scene.isCallerGone = true;
  await scene.dispatcher.serve(scene.request("hello"));
  assertEquals(scene.settled, [["hello", "caller_gone"]]);
});

Deno.test("Dispatcher: a call that comes again while it is in flight gets one reply", async () => {
  const { open, handler } = held();
  const scene = new Scene(handler);
  const call = { correlationId: "a" };
  const serving = ["1", "1", "2"].map((text) => scene.dispatcher.serve(scene.request(text, call)));
  assertEquals(open.map(({ text }) => text), ["1", "2"]);
  for (const { text, answer } of open) answer(text);
  await Promise.all(serving);
  assertEquals(scene.settled.sort(), [["1", "duplicate"], ["1", "response", "1"], [
    "2",
    "response",
    "2",
  ]]);
});

Deno.test("Dispatcher: the same call is started again when its first request is lost", async () => {
  const { open, handler } = held();
  const scene = new Scene(handler);
  const [first, again] = [0, 1].map(() => scene.request("1", { correlationId: "a" }));
  scene.dispatcher.serve(first!);
  const serving = scene.dispatcher.serve(again!);
  assertEquals(open.length, 1);
  Object.defineProperty(first!.channel, "isLost", { get: () => true });
  scene.lose(first!);
  await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(open.length, 2);
  open[1]!.answer("one");
  await serving;
  assertEquals(scene.settled, [["1", "response", "one"]]);
});

Deno.test("Dispatcher: a result over the limit is an error, and an error over it is cut", async () => {
  const scene = new Scene((text) => {
    if (text === "error") throw new RpcError("internal", "x".repeat(5_000));
    return "x".repeat(1_001);
  }, { maxMessageBytes: 1_000 });
  for (const text of ["result", "error"]) await scene.dispatcher.serve(scene.request(text));
  const [[, outcome, reply], [, , cut]] = scene.settled as [
    [string, string, string],
    typeof scene.settled[0],
  ];
  assertEquals(outcome, "resource_exhausted");
  assertMatch(reply, /the result has 1001 bytes, over the message limit of 1000/);
  assertEquals(cut!.length <= 1_000 && cut!.includes("xxx..."), true);
});

Deno.test("Dispatcher.giveUp: answers with internal, and counts it as poisoned", () => {
  const scene = new Scene((text) => text, { maxAttempts: 4 });
  scene.dispatcher.giveUp(scene.request("killer"));
  const [[, outcome, reply]] = scene.settled as [[string, RequestOutcome, string]];
  assertEquals(outcome, "poisoned");
  assertMatch(reply, /^\{"code":"internal","message":"the request was given up: .*4 times/);
});

Deno.test("Dispatcher.overrunMs: a handler that goes on over its time, answered or not, until it ends", async () => {
  const end = Promise.withResolvers<string>();
  const scene = new Scene(() => end.promise, { maxTimeMs: 20 });
  const done = scene.dispatcher.serve(scene.request("x"));
  assertEquals(scene.dispatcher.overrunMs, 0);
  await waitFor(() => scene.settled.length === 1, { what: "its answer" });
  assertEquals(scene.settled[0]![1], "resource_exhausted");
  await waitFor(() => scene.dispatcher.overrunMs > 5, { what: "an overrun" });
  end.resolve("late");
  await done;
  await waitFor(() => scene.dispatcher.overrunMs === 0, { what: "its end" });
});
