import { assertEquals } from "@std/assert";
import { isRpcErrorCode, RPC_ERROR_CODES, RpcError } from "../src/errors.ts";

Deno.test("RPC_ERROR_CODES: every code of gRPC's but its OK, and one of our own", () => {
  assertEquals([...RPC_ERROR_CODES].sort(), [
    "aborted",
    "already_exists",
    "cancelled",
    "data_loss",
    "deadline_exceeded",
    "failed_precondition",
    "internal",
    "invalid_argument",
    "no_server",
    "not_found",
    "out_of_range",
    "permission_denied",
    "resource_exhausted",
    "unauthenticated",
    "unavailable",
    "unimplemented",
    "unknown",
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

Deno.test("RpcError: holds what it was given, and is this side's unless it says otherwise", () => {
  const local = new RpcError("unavailable", "away");
  assertEquals([local.remote, local.details, "cause" in local], [false, undefined, false]);
  const remote = new RpcError("not_found", "no", { remote: true, details: { id: 7 }, cause: 1 });
  assertEquals([remote.remote, remote.details, remote.cause], [true, { id: 7 }, 1]);
});

Deno.test("RpcError.from: makes anything else one, with its cause", () => {
  const cause = new TypeError("broken");
  const error = RpcError.from(cause);
  assertEquals([error.code, error.message, error.cause], ["internal", "broken", cause]);
  assertEquals(RpcError.from("text", "unavailable").message, "text");
  assertEquals(RpcError.from(cause, "internal", "the server failed").message, "the server failed");
});

Deno.test("RpcError: is known across copies of the package", async () => {
  // As a program has it that depends on two packages, each with a copy of its own.
  const copy = await import(`../src/errors.ts?copy=${crypto.randomUUID()}`) as {
    RpcError: typeof RpcError;
  };
  const theirs = new copy.RpcError("not_found", "nothing there");
  assertEquals(copy.RpcError === RpcError, false);
  assertEquals([theirs instanceof RpcError, RpcError.from(theirs) === theirs], [true, true]);
  class Special extends RpcError {}
  const special = new Special("internal", "special");
  assertEquals([special instanceof Special, special instanceof RpcError], [true, true]);
  assertEquals([theirs instanceof Special, new Error() instanceof RpcError], [false, false]);
  const others: unknown[] = [undefined, null, "text", {}];
  assertEquals(others.filter((value) => value instanceof RpcError), []);
});
