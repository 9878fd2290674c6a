import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { RpcError } from "../../src/errors.ts";
import { RpcClient } from "../../src/rpc/client/client.ts";
import type { ClientInterceptor } from "../../src/rpc/client/interceptor.ts";
import { RpcServer } from "../../src/rpc/server/server.ts";
import type { ServerInterceptor } from "../../src/rpc/server/interceptor.ts";
import type { ObservedRequest, RequestOutcome } from "../../src/rpc/server/observer.ts";
import { sharedBroker, uniqueQueue } from "../support/broker.ts";
import { CollectedLog } from "../support/log.ts";
import { texts } from "../support/services.ts";

const { url } = await sharedBroker();

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`;

Deno.test("interceptors: both ends' run around a call, the first outermost", async () => {
  const service = texts(uniqueQueue("interceptor"));
  const seen: string[] = [];
  const around = (name: string): ServerInterceptor => async (request, next) => {
    seen.push(`${name} in ${request.input} of ${request.service.queue === service.queue}`);
    const { headers } = request.context;
    const context = { ...request.context, headers: { ...headers, name } };
    const output = await next({ ...request, input: `${request.input}${name}`, context });
    seen.push(`${name} out ${output}`);
    return `${output}${name}`;
  };
  await using server = new RpcServer({ url, interceptors: [around("a"), around("b")] });
  server.serve(service, (text, { headers, replyHeaders }) => {
    replyHeaders["x-seen"] = String(headers.name);
    return `${text}!`;
  });
  await server.start();
  const retry: ClientInterceptor = async (call, next) => {
    try {
      return await next({ ...call, input: "" });
    } catch (error) {
      seen.push((error as RpcError).code);
      return await next(call);
    }
  };
  const notEmpty: ClientInterceptor = (call, next) => {
    if (call.input === "") throw new RpcError("failed_precondition", "there is nothing in it");
    return next(call);
  };
  await using client = new RpcClient({ url, interceptors: [retry, notEmpty] });
  let headers: Record<string, unknown> | undefined;
  const output = {
    decode(body: Uint8Array, properties: { headers?: Record<string, unknown> }) {
      headers = properties.headers;
      return new TextDecoder().decode(body);
    },
  };
  assertEquals(await client.call({ ...service, output }, "x"), "xab!ba");
  assertEquals(headers, { "x-seen": "b" });
  assertEquals(seen, [
    "failed_precondition",
    "a in x of true",
    "b in xa of true",
    "b out xab!",
    "a out xab!b",
  ]);
});

Deno.test("interceptors: what they throw is the handler's, or the call's, error", async () => {
  const service = texts(uniqueQueue("interceptor"));
  const refuse: ServerInterceptor = ({ context }, next) => {
    context.replyHeaders["x-why"] = "token";
    if (context.headers.token === undefined) throw new RpcError("unauthenticated", "no token");
    return next({} as never);
  };
  await using server = new RpcServer({ url, interceptors: [refuse] });
  server.serve(service, (text) => text);
  await server.start();
  await using client = new RpcClient({ url });
  const refused = await assertRejects(() => client.call(service, "x"), RpcError);
  assertEquals([refused.code, refused.remote], ["unauthenticated", true]);
  const failed = await assertRejects(
    () => client.call(service, "x", { headers: { token: "" } }),
    RpcError,
  );
  assertEquals(failed.code, "internal");
  const bug: ClientInterceptor = () => {
    throw new TypeError("a bug");
  };
  await using buggy = new RpcClient({ url, interceptors: [bug] });
  const own = await assertRejects(() => buggy.call(service, "x"), RpcError, "a bug");
  assertEquals([own.code, own.remote], ["internal", false]);
});

Deno.test("observers: a request's and a call's; what they throw is logged, and changes nothing", async () => {
  await using log = await CollectedLog.start();
  const service = texts(uniqueQueue("observer"));
  const seen: unknown[] = [];
  await using server = new RpcServer({
    url,
    observer: {
      requestReceived: ({ queue }) => seen.push(queue === service.queue),
      requestSettled(request: ObservedRequest, outcome: RequestOutcome) {
        const { bodyBytes, replyBytes, redelivered, headers, receivedAt, startedAt } = request;
        seen.push({ bodyBytes, replyBytes, redelivered, headers, outcome });
        seen.push(receivedAt <= startedAt! && startedAt! <= performance.now());
        throw new TypeError("the observer's bug");
      },
    },
  });
  server.serve(service, (text) => {
    if (text === "bad") throw new RpcError("not_found", "nö");
    return `${text}ö`;
  });
  await server.start();
  await using client = new RpcClient({ url });
  const sent: unknown[] = [];
  const observer = {
    requestHeld: (_id: string, reason: string) => sent.push(reason),
    requestSent(id: string, attempt: number) {
      sent.push(attempt, id.length > 22);
      throw new TypeError("another bug");
    },
  };
  assertEquals(await client.call(service, "abc", { observer, headers: { a: "1" } }), "abcö");
  await assertRejects(() => client.call(service, "bad"), RpcError, "nö");
  const about = { redelivered: false };
  assertEquals(seen, [
    true,
    { bodyBytes: 3, replyBytes: 5, headers: { a: "1" }, outcome: "response", ...about },
    true,
    true,
    { bodyBytes: 3, replyBytes: 36, headers: undefined, outcome: "not_found", ...about },
    true,
  ]);
  assertEquals(sent, ["connecting", 1, true]);
  const bugs = log.messages(/an observer failed/);
  assertEquals(bugs.map((text) => /the observer's|another/.exec(text)?.[0]).sort(), [
    "another",
    "the observer's",
    "the observer's",
  ]);
  assertEquals(server.stats.responses, 1);
});

Deno.test("log: one record at debug for a call and a request, with id, trace, outcome and time", async () => {
  await using log = await CollectedLog.start();
  const service = texts(uniqueQueue("log"));
  await using server = new RpcServer({ url });
  server.serve(service, (text) => {
    if (text === "bug") throw new TypeError("a bug");
    return text;
  });
  await server.start();
  await using client = new RpcClient({ url });
  let id: string | undefined;
  const options = {
    headers: { traceparent: TRACEPARENT },
    observer: { requestSent: (requestId: string) => id = requestId },
  };
  await client.call(service, "hello", options);
  await assertRejects(() => client.call(service, "bug", options), RpcError);
  const about = { queue: service.queue, requestId: id, traceId: TRACE_ID };
  const failed = log.records.filter(({ properties }) => properties.requestId === id);
  assertEquals(
    failed.map(({ category, level }) => [category.at(-1), level]).sort(),
    [["call", "debug"], ["request", "debug"], ["server", "error"]],
  );
  for (const { category: [, name], properties: { ms, handlingMs, error, ...rest } } of failed) {
    switch (name) {
      case "call":
        assertEquals(rest, { ...about, outcome: "internal", sent: 1 });
        assertEquals(Number(ms) > 0, true);
        break;
      case "request":
        assertEquals(rest, {
          ...about,
          outcome: "internal",
          redelivered: false,
          bodyBytes: 3,
          replyBytes: 67,
        });
        assertEquals(Number(ms) >= Number(handlingMs), true);
        break;
      default:
        assertEquals(rest, { ...about, redelivered: false, errors: 1 });
        assertMatch(String(error), /a bug/);
    }
  }
});
