import { assert, assertEquals } from "@std/assert";
import { createHandlerContext } from "../../../src/rpc/server/handler.ts";
import { requestEnvironment } from "../../../src/services/command/request_environment.ts";

Deno.test("requestEnvironment: a request that says nothing", () => {
  assertEquals(requestEnvironment(createHandlerContext()), { FIBRPC_REDELIVERED: "false" });
});

Deno.test("requestEnvironment: id, deadline, content type, headers, trace context", () => {
  const before = Date.now();
  const { FIBRPC_DEADLINE_MS, ...others } = requestEnvironment(createHandlerContext({
    correlationId: "id.0",
    contentType: "image/png",
    redelivered: true,
    timeLeftMs: () => 5_000,
    headers: {
      "x-tenant": "a b",
      "X-Größe.1": "L",
      "x-number": 5,
      "x-table": { a: "b" },
      "traceparent": "00-1-2-01",
      "tracestate": "v=1",
    },
  }));
  const deadline = Number(FIBRPC_DEADLINE_MS);
  assert(deadline >= before + 5_000 && deadline <= Date.now() + 5_000);
  assertEquals(others, {
    FIBRPC_REQUEST_ID: "id.0",
    FIBRPC_CONTENT_TYPE: "image/png",
    FIBRPC_REDELIVERED: "true",
    FIBRPC_HEADER_X_TENANT: "a b",
    FIBRPC_HEADER_X_GR__E_1: "L",
    TRACEPARENT: "00-1-2-01",
    TRACESTATE: "v=1",
    FIBRPC_HEADER_TRACEPARENT: "00-1-2-01",
    FIBRPC_HEADER_TRACESTATE: "v=1",
  });
});

Deno.test("requestEnvironment: what no variable can hold, or is too long, is left out", () => {
  const env = requestEnvironment(createHandlerContext({
    correlationId: "\udcff", // Not UTF-8 on the wire.
    contentType: "a\0b",
    headers: {
      "long": "x".repeat(4_097),
      "a-b": "first",
      "A_B": "second",
      "": "nameless",
      "path=/x;LD_PRELOAD": "y",
    },
  }));
  assertEquals(env, {
    FIBRPC_REDELIVERED: "false",
    FIBRPC_HEADER_A_B: "first",
    FIBRPC_HEADER_: "nameless",
    FIBRPC_HEADER_PATH__X_LD_PRELOAD: "y",
  });
});

Deno.test("requestEnvironment: all headers together have a bound", () => {
  const headers = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, i) => [`h${i}`, "x".repeat(4_000)]),
  );
  const env = requestEnvironment(createHandlerContext({ headers }));
  const size = Object.entries(env).reduce(
    (sum, [name, value]) => sum + name.length + value.length,
    0,
  );
  assert(size > 60_000 && size <= 66_000, String(size));
});
