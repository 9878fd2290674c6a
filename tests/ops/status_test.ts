import { assertEquals } from "@std/assert";
import type { QueueProbe } from "../../src/ops/probe.ts";
import { figuresOf, judge, worst } from "../../src/ops/status.ts";

const LIMITS = { minConsumers: 1, maxWaiting: 5, maxSuspects: 0 };

function probe(parts: Partial<QueueProbe> = {}): QueueProbe {
  return {
    queue: "q",
    requests: { found: true, consumers: 1, messages: 5 },
    suspects: { found: false },
    ...parts,
  };
}

Deno.test("judge: what can't be seen is unknown, never good", () => {
  assertEquals(judge(probe(), LIMITS), "ok");
  assertEquals(judge(probe({ requests: { found: "unknown" } }), LIMITS), "unknown");
  assertEquals(judge(probe({ requests: { found: false } }), LIMITS), "no_server");
  assertEquals(judge(probe({ suspects: { found: "unknown" } }), LIMITS), "ok");
  const one = { found: true, consumers: 0, messages: 1 } as const;
  assertEquals(judge(probe({ suspects: one }), LIMITS), "over");
  assertEquals(judge(probe({ requests: { ...one, consumers: 1, messages: 6 } }), LIMITS), "over");
  assertEquals(figuresOf(probe({ requests: { found: "unknown" } })), {
    queue: "q",
    exists: null,
    consumers: null,
    waiting: null,
    suspects: 0,
  });
});

Deno.test("worst: nobody serves counts before a backlog, that before the unknown", () => {
  assertEquals(worst([]), "ok");
  assertEquals(worst(["ok", "unknown", "ok"]), "unknown");
  assertEquals(worst(["over", "unknown", "ok"]), "over");
  assertEquals(worst(["over", "no_server", "ok"]), "no_server");
});
