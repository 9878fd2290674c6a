import { assertEquals } from "@std/assert";
import { RPC_ERROR_CODES } from "../../../src/errors.ts";
import { ClientCounters } from "../../../src/rpc/client/observer.ts";

Deno.test("ClientCounters: a call counts once at its start, and once at its end", () => {
  const counters = new ClientCounters();
  for (const outcome of ["response", ...RPC_ERROR_CODES] as const) {
    counters.callStarted();
    counters.callSettled(outcome);
  }
  counters.requestResent();
  counters.replyDropped("late");
  counters.replyDropped("unknown");
  assertEquals(counters.stats, {
    calls: 1 + RPC_ERROR_CODES.length,
    responses: 1,
    errors: RPC_ERROR_CODES.length,
    resubmissions: 1,
    repliesDropped: 2,
    repliesUnknown: 1,
  });
});
