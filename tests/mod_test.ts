import { assertEquals } from "@std/assert";
import * as api from "../mod.ts";

Deno.test("mod: exports what it is meant to", () => {
  assertEquals(Object.keys(api).sort(), [
    "FibonacciClient",
    "FibonacciServer",
    "RPC_ERROR_CODES",
    "RpcClient",
    "RpcError",
    "RpcServer",
    "bytes",
    "createHandlerContext",
    "fibonacci",
    "json",
    "text",
  ]);
});
