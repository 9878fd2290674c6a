import { assertEquals } from "@std/assert";
import { AbortSignals } from "../../../src/rpc/client/abort_signals.ts";
import { collectGarbage } from "../../support/gc.ts";

/** A signal that counts its listeners. */
function countedSignal(): { signal: AbortSignal; abort: () => void; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => {
      count += 1;
      add(...args);
    },
    removeEventListener: (...args: Parameters<typeof remove>) => {
      count -= 1;
      remove(...args);
    },
  });
  return { signal, abort: () => controller.abort(), listeners: () => count };
}

Deno.test("AbortSignals: one listener for a signal, however many items", () => {
  const aborted: number[] = [];
  const signals = new AbortSignals<number>((item) => aborted.push(item));
  const { signal, abort, listeners } = countedSignal();
  const items = Array.from({ length: 20_000 }, (_, item) => item);
  for (const item of items) signals.add(item, signal);
  assertEquals(listeners(), 1);
  signals.delete(7, signal);
  assertEquals(listeners(), 1);
  abort();
  assertEquals(aborted, items.filter((item) => item !== 7));
  assertEquals(listeners(), 0);
});

Deno.test("AbortSignals: none is left when all items are gone, and more can come", () => {
  const aborted: string[] = [];
  const signals = new AbortSignals<string>((item) => aborted.push(item));
  const [first, second] = [countedSignal(), countedSignal()];
  for (let round = 0; round < 2; round++) {
    signals.add("a", first.signal);
    signals.add("b", first.signal);
    signals.add("c", second.signal);
    signals.delete("a", first.signal);
    assertEquals([first.listeners(), second.listeners()], [1, 1]);
    signals.delete("b", first.signal);
    signals.delete("c", second.signal);
    signals.delete("c", second.signal);
    assertEquals([first.listeners(), second.listeners()], [0, 0]);
  }
  signals.add("d", second.signal);
  first.abort();
  second.abort();
  assertEquals(aborted, ["d"]);
});

Deno.test("AbortSignals: items that are deleted by another's abort are not aborted", () => {
  const aborted: string[] = [];
  const signals = new AbortSignals<string>((item, signal) => {
    aborted.push(item);
    signals.delete(item, signal);
  });
  const { signal, abort } = countedSignal();
  for (const item of ["a", "b", "c"]) signals.add(item, signal);
  abort();
  assertEquals(aborted, ["a", "b", "c"]);
});

Deno.test("AbortSignals: keeps no item, nor a signal that nobody else keeps", async () => {
  const signals = new AbortSignals<object>(() => {});
  const longLived = new AbortController();
  const kept = (() => {
    const item = {};
    signals.add(item, longLived.signal);
    signals.delete(item, longLived.signal);
    const { signal } = new AbortController();
    signals.add(item, signal);
    signals.delete(item, signal);
    return [new WeakRef(item), new WeakRef(signal)];
  })();
  await collectGarbage();
  assertEquals(kept.map((ref) => ref.deref()), [undefined, undefined]);
});
