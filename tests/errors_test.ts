import { assertEquals } from "@std/assert";
import { isRpcErrorCode, RPC_ERROR_CODES, RpcError } from "../src/errors.ts";

Deno.test("RPC_ERROR_CODES: every code of the contract, and no other", () => {
  assertEquals([...RPC_ERROR_CODES].sort(), [
    "cancelled",
    "deadline_exceeded",
    "internal",
    "invalid_argument",
    "no_server",
    "out_of_range",
    "permission_denied",
    "resource_exhausted",
    "unauthenticated",
    "unavailable",
  ]);
});

Deno.test("isRpcErrorCode: only the codes", () => {
  assertEquals(RPC_ERROR_CODES.every(isRpcErrorCode), true);
  for (const other of ["", "INTERNAL", "toString", undefined, null, 1, {}]) {
    assertEquals(isRpcErrorCode(other), false);
  }
});

Deno.test("RpcError.from: keeps an RpcError", () => {
  const error = new RpcError("no_server", "nobody there");
  assertEquals(RpcError.from(error, "internal") === error, true);
});

Deno.test("RpcError.from: makes anything else one, with its cause", () => {
  const cause = new TypeError("broken");
  const error = RpcError.from(cause);
  assertEquals([error.code, error.message, error.cause], ["internal", "broken", cause]);
  assertEquals(RpcError.from("text", "unavailable").message, "text");
  assertEquals(RpcError.from(cause, "internal", "the server failed").message, "the server failed");
});
