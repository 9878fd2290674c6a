import { assertEquals } from "@std/assert";
import * as api from "@fibrpc/fibrpc";
import * as client from "@fibrpc/fibrpc/client";
import * as command from "@fibrpc/fibrpc/command";
import * as fibonacci from "@fibrpc/fibrpc/fibonacci";
import * as server from "@fibrpc/fibrpc/server";
import * as metrics from "@fibrpc/fibrpc/metrics";
import * as service from "@fibrpc/fibrpc/service";

import * as tracing from "@fibrpc/fibrpc/tracing";

const SERVICE = ["RPC_ERROR_CODES", "RpcError", "bytes", "json", "text"];
const FIBONACCI = ["FibonacciClient", "FibonacciServer", "fibonacci"];

Deno.test("mod: exports what it is meant to, by its parts", () => {
  assertEquals(Object.keys(service).sort(), SERVICE);
  assertEquals(Object.keys(client).sort(), [...SERVICE, "RpcClient"].sort());
  assertEquals(
    Object.keys(server).sort(),
    [...SERVICE, "RequeueError", "RpcServer", "createHandlerContext"].sort(),
  );
  assertEquals(Object.keys(fibonacci).sort(), FIBONACCI);
  assertEquals(Object.keys(command), ["commandHandler"]);
  // They need packages that not every program has.
  assertEquals(Object.keys(metrics), ["ServerMetrics"]);
  assertEquals(Object.keys(tracing).sort(), ["traceCalls", "traceRequests"]);
  assertEquals(api, { ...client, ...server, ...fibonacci, ...command });
});
