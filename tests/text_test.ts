import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { quote } from "../src/text.ts";

Deno.test("quote: one printable line, bounded, that JSON reads back", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
    const quoted = quote(text);
    assertEquals(/[\p{C}\p{Zl}\p{Zp}]/u.test(quoted), false, quoted);
    assertEquals(quoted.length < 450, true);
    if (text.length <= 60) assertEquals(JSON.parse(quoted), text);
  }));
});
