import { assertEquals } from "@std/assert";
import { RPC_ERROR_CODES } from "../../../src/errors.ts";
import {
  type RequestOutcome,
  type RpcServerStats,
  ServerCounters,
} from "../../../src/rpc/server/observer.ts";

const CASES: [RequestOutcome, Partial<RpcServerStats>][] = [
  ["response", { responses: 1 }],
  ["poisoned", { givenUp: 1, errors: 1 }],
  ["expired", { expired: 1 }],
  ["caller_gone", { abandoned: 1 }],
  ["rejected", { rejected: 1 }],
  ["duplicate", { duplicates: 1 }],
  ["returned", {}],
  ["lost", {}],
  ...RPC_ERROR_CODES.map((
    code,
  ): [RequestOutcome, Partial<RpcServerStats>] => [code, { errors: 1 }]),
];

for (const [outcome, counted] of CASES) {
  Deno.test(`ServerCounters: what a request counts as that ends so: ${outcome}`, () => {
    const counters = new ServerCounters();
    const before = { ...counters.stats };
    counters.requestReceived();
    counters.requestSettled(undefined, outcome);
    counters.replyReturned();
    assertEquals(counters.stats, { ...before, requests: 1, unroutable: 1, ...counted });
  });
}
