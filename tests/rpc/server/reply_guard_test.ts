import { assert, assertEquals, assertMatch } from "@std/assert";
import { BrokerUrl } from "../../../src/amqp/broker_url.ts";
import { type Refusal, ReplyGuard } from "../../../src/rpc/server/reply_to/reply_guard.ts";
import type { Look } from "../../../src/rpc/server/reply_to/reply_probe.ts";
import { addressOf, type AddressParts } from "../../support/direct_address.ts";
import { waitFor } from "../../support/wait.ts";

const BROKER = new BrokerUrl("amqp://localhost");
const OWN: AddressParts = { node: "reply@1", id: 700, serial: 0, creation: 5 };
const MALFORMED = "amq.rabbitmq.reply-to.garbage.garbage";

/** A guard whose looks wait until the test says what they found. */
class Guarded implements Disposable {
  readonly looks: { address: string; found: (look: Look) => void }[] = [];
  readonly guard: ReplyGuard;

  constructor(prefetch = 64, own: string | undefined = addressOf(OWN)) {
    this.guard = new ReplyGuard({
      prefetch,
      look: (_, address) => new Promise((found) => this.looks.push({ address, found })),
    });
    this.guard.startOn(BROKER, own);
  }

  /** An address of a node that is not the broker's own. */
  check(node: string, parts: Partial<AddressParts> = {}): Refusal | Promise<Refusal> {
    return this.guard.check(addressOf({ ...OWN, node, ...parts }));
  }

  /** Answers the next look. */
  async found(look: Look): Promise<string> {
    const next = await waitFor(() => this.looks.shift(), { what: "a look" });
    next.found(look);
    return next.address;
  }

  [Symbol.dispose](): void {
    this.guard.close();
  }
}

Deno.test("ReplyGuard: queues, and addresses of the broker's own node, need no look", () => {
  using guarded = new Guarded();
  const { guard } = guarded;
  for (const id of [0, 1, 700, 0x7fff]) {
    assertEquals(guard.check(addressOf({ ...OWN, id })), undefined);
  }
  for (const queue of ["replies", "amq.gen-1"]) assertEquals(guard.check(queue), undefined);
  assertEquals(guarded.looks, []);
});

Deno.test("ReplyGuard: what is malformed is refused without a look, where the broker's own form is known", async () => {
  using known = new Guarded();
  assertMatch(String(known.guard.check(MALFORMED)), /malformed/);
  assertEquals(known.looks, []);
  // Another kind of broker may have another form: each address stands for itself.
  for (const own of [undefined, "amq.rabbitmq.reply-to.v2.xyz"]) {
    using unknown = new Guarded(64, own ?? "");
    for (const look of ["found", "missing", "lost"] as const) {
      const address = `amq.rabbitmq.reply-to.v2.${look}`;
      const refusal = unknown.guard.check(address);
      assertEquals(await unknown.found(look), address);
      assertEquals(await refusal === undefined, look === "found", look);
    }
  }
});

Deno.test("ReplyGuard: another node is looked at once, at an address where nobody listens", async () => {
  using guarded = new Guarded();
  const first = guarded.check("reply@2");
  const second = guarded.check("reply@2", { id: 701 });
  const address = await guarded.found("missing");
  assert(
    address !== addressOf({ ...OWN, node: "reply@2" }),
    "a process of the broker could be asked",
  );
  assertEquals([await first, await second], [undefined, undefined]);
  assertEquals(guarded.check("reply@2", { id: 702 }), undefined);
  assertEquals(guarded.looks, []);
});

Deno.test("ReplyGuard: a node that costs the connection is refused, and looked at again later", async () => {
  using guarded = new Guarded();
  const refusal = guarded.check("reply@2");
  await guarded.found("lost");
  assertMatch(String(await refusal), /looked at/);
  assertMatch(String(guarded.check("reply@2")), /looked at/);
  assertEquals(guarded.looks, []);
  using _later = clockAhead(11_000);
  const again = guarded.check("reply@2");
  await guarded.found("missing"); // It came back.
  assertEquals(await again, undefined);
});

Deno.test("ReplyGuard: what can't be seen is used, but not for proven", async () => {
  using guarded = new Guarded();
  const refusal = guarded.check("reply@2");
  await guarded.found("unseen");
  assertEquals(await refusal, undefined);
  assertEquals(guarded.check("reply@2", { id: 1 }), undefined);
  using _later = clockAhead(11_000);
  assert(guarded.check("reply@2", { id: 2 }) instanceof Promise);
  await guarded.found("lost");
});

Deno.test("ReplyGuard: numbers that the broker's Erlang may not take are looked at, also of its own node", async () => {
  using guarded = new Guarded();
  const refusal = guarded.check(OWN.node, { id: 0x8000 });
  await guarded.found("lost");
  assert(await refusal !== undefined);
  assertEquals(guarded.check(OWN.node, { id: 1 }), undefined);
});

Deno.test("ReplyGuard: nothing that was learned outlives the connection", async () => {
  using guarded = new Guarded();
  const refusal = guarded.check("reply@2");
  await guarded.found("missing");
  assertEquals(await refusal, undefined);
  assertEquals(guarded.check("reply@2"), undefined);
  guarded.guard.startOn(BROKER, addressOf({ ...OWN, node: "reply@3" }));
  assertEquals(guarded.check("reply@3"), undefined);
  for (const node of ["reply@2", OWN.node]) assert(guarded.check(node) instanceof Promise, node);
  // Nor does the answer to a look that was under way.
  const { found } = await waitFor(() => guarded.looks.shift(), { what: "a look" });
  guarded.guard.startOn(BROKER, addressOf(OWN));
  found("missing");
  await new Promise((resolve) => setTimeout(resolve));
  assert(guarded.check("reply@2") instanceof Promise);
  await guarded.found("missing");
});

Deno.test("ReplyGuard: one look at a time, with a pause after one that was lost", async () => {
  using guarded = new Guarded();
  const refusals = ["reply@2", "reply@3", "reply@4"].map((node) => guarded.check(node));
  assertEquals(guarded.looks.length, 1);
  await guarded.found("missing");
  await refusals[0];
  assertEquals(guarded.looks.length, 1);
  await guarded.found("lost");
  await refusals[1];
  const start = performance.now();
  assertEquals(guarded.looks.length, 0);
  await guarded.found("missing");
  assert(performance.now() - start > 150);
  assertEquals(await refusals[2], undefined);
});

Deno.test("ReplyGuard: the node that most requests wait for is looked at first", async () => {
  using guarded = new Guarded();
  const forged = ["reply@2", "reply@3", "reply@4"].map((node) => guarded.check(node));
  const honest = [1, 2].map((id) => guarded.check("reply@5", { id }));
  await guarded.found("missing"); // It was alone.
  await guarded.found("missing");
  assertEquals(await Promise.all(honest), [undefined, undefined]);
  assertEquals(await forged[0], undefined);
  assertEquals(guarded.looks.length, 1); // The other two.
});

Deno.test("ReplyGuard: while no look was lost, all requests of a node wait for its look", async () => {
  using guarded = new Guarded(1_000);
  const refusals = Array.from({ length: 1_000 }, (_, id) => guarded.check("reply@2", { id }));
  await guarded.found("missing");
  assertEquals([...new Set(await Promise.all(refusals))], [undefined]);
});

Deno.test("ReplyGuard: no more nodes wait than half of what the server holds, though no look is lost", async () => {
  for (const [prefetch, most] of [[1, 1], [2, 1], [64, 32], [65_535, 64]] as const) {
    using guarded = new Guarded(prefetch);
    const refusals = Array.from({ length: most }, (_, n) => guarded.check(`reply@${n + 10}`));
    for (const refusal of refusals) assert(refusal instanceof Promise);
    assertMatch(String(guarded.check("reply@1000")), /too many/, `prefetch ${prefetch}`);
    assertEquals(guarded.check(OWN.node), undefined);
    for (const refusal of refusals) {
      await guarded.found("missing");
      assertEquals(await refusal, undefined);
    }
    assert(guarded.check("reply@1000") instanceof Promise);
    await guarded.found("missing");
  }
});

Deno.test("ReplyGuard: once one was lost, no more than half of what the server holds waits", async () => {
  for (const [prefetch, half] of [[1, 0], [2, 1], [64, 32]] as const) {
    using guarded = new Guarded(prefetch);
    const others = Math.max(half - 1, 0);
    const first = guarded.check("reply@9");
    const forged = Array.from({ length: others }, (_, n) => guarded.check(`reply@${n + 10}`));
    // They would be more than half: the node that most wait for stays.
    const honest = forged.length === 0 ? [] : [guarded.check(`reply@10`)];
    for (let n = honest.length + 1; n < half; n++) {
      honest.push(guarded.check("reply@10", { id: n }));
    }
    await guarded.found("lost");
    assertMatch(String(await first), /looked at/);
    for (const refusal of forged.slice(1)) assertMatch(String(await refusal), /too many/);
    assertEquals(guarded.check(OWN.node), undefined);
    if (forged.length > 0) {
      assertMatch(String(guarded.check("reply@1000")), /too many/);
      assertMatch(String(guarded.check("reply@10", { id: 99 })), /too many/);
      await guarded.found("missing");
      assertEquals([...new Set(await Promise.all([forged[0], ...honest]))], [undefined]);
    }
  }
});

Deno.test("ReplyGuard: no request waits long for a look that doesn't begin", async () => {
  using guarded = new Guarded();
  const refusals = [2, 3, 4].map((n) => guarded.check(`reply@${n}`));
  using _later = clockAhead(2_100);
  await guarded.found("missing");
  assertEquals(await refusals[0], undefined);
  for (const refusal of refusals.slice(1)) assertMatch(String(await refusal), /in time/);
});

Deno.test("ReplyGuard: a server that holds one request doesn't wait for the end of a pause", async () => {
  using guarded = new Guarded(1);
  const first = guarded.check("reply@2");
  await guarded.found("lost");
  await first;
  assertMatch(String(guarded.check("reply@3")), /too many/);
  await waitFor(() => guarded.check("reply@3") instanceof Promise, { what: "the pause to end" });
  await guarded.found("missing");
});

Deno.test("ReplyGuard: what waited on a lost connection takes no place on the next one", async () => {
  using guarded = new Guarded(2);
  guarded.check("reply@2");
  guarded.guard.startOn(BROKER, addressOf(OWN));
  await guarded.found("missing");
  const refusal = guarded.check("reply@3");
  await guarded.found("lost");
  await refusal;
  await waitFor(() => guarded.check("reply@4") instanceof Promise, {
    what: "a place",
    timeoutMs: 5_000, // After 10 s the loss of the look is forgotten.
  });
  await guarded.found("missing");
});

Deno.test("ReplyGuard.close: what waits is left for the broker to deliver again", async () => {
  using guarded = new Guarded();
  const ends: unknown[] = [];
  for (const node of ["reply@2", "reply@3"]) {
    (guarded.check(node) as Promise<Refusal>).then((refusal) => ends.push(refusal));
  }
  guarded.guard.close();
  await guarded.found("missing");
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([ends, guarded.looks], [[], []]);
});

Deno.test("ReplyGuard: a flood of made-up nodes makes it forget none that is in use", async () => {
  using guarded = new Guarded();
  const real = guarded.check("reply@2");
  await guarded.found("missing");
  assertEquals(await real, undefined);
  for (let n = 0; n < 5_000; n++) {
    const forged = guarded.check(`reply@${n + 10}`);
    await Promise.all([forged, guarded.looks.length > 0 && guarded.found("missing")]);
    if (n % 100 === 0) assertEquals(guarded.check("reply@2", { id: n }), undefined);
  }
  assertEquals(guarded.check("reply@2", { id: 9 }), undefined);
  // What is not in use is forgotten: it takes memory.
  assert(guarded.check("reply@10", { id: 9 }) instanceof Promise);
  await guarded.found("missing");
});

/** Sets the clock of `performance.now()` ahead, until it is disposed of. */
function clockAhead(ms: number): Disposable {
  const now = performance.now;
  performance.now = () => now.call(performance) + ms;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}
