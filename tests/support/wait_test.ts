import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { waitFor } from "./wait.ts";

Deno.test("waitFor() gives what the condition gave when it was truthy", async () => {
  let looks = 0;
  const value = await waitFor(() => ++looks === 3 && "there", {
    what: "the third look",
    intervalMs: 1,
  });
  assertEquals([value, looks], ["there", 3]);
});

Deno.test("waitFor() fails in time, and names what it waited for", async () => {
  const error = await assertRejects(
    () => waitFor(() => 0, { what: "Godot", timeoutMs: 30, intervalMs: 1 }),
    Error,
  );
  assertStringIncludes(error.message, "Godot");
});

Deno.test("waitFor() passes on what the condition throws", async () => {
  await assertRejects(
    () => waitFor(() => Promise.reject(new RangeError()), { what: "never" }),
    RangeError,
  );
});
