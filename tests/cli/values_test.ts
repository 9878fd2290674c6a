import { assertEquals, assertThrows } from "@std/assert";
import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import {
  collect,
  duration,
  heartbeat,
  matcher,
  wholeNumber,
} from "../../src/cli/options/values.ts";
import { MAX_TIMEOUT_MS } from "../../src/checks.ts";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

Deno.test("duration(): is the sum of its parts", () => {
  const part = fc.tuple(fc.integer({ min: 1, max: 99 }), fc.constantFrom(...Object.keys(UNITS)));
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), (parts) => {
    const ms = parts.reduce((sum, [n, unit]) => sum + n * UNITS[unit as keyof typeof UNITS], 0);
    fc.pre(ms <= MAX_TIMEOUT_MS);
    assertEquals(duration(parts.map((part) => part.join("")).join("")), ms);
  }));
});

Deno.test("duration(): fractions, and up to 24 days", () => {
  assertEquals(duration("1.5s"), 1_500);
  assertEquals(duration("0.5ms"), 0.5);
  assertEquals(duration("24d"), MAX_TIMEOUT_MS);
  assertEquals(duration("23d24h"), MAX_TIMEOUT_MS);
});

const NO_DURATIONS = [
  "",
  "5",
  "s",
  "soon",
  "0s",
  "0ms",
  "-5s",
  "+5s",
  "1e3s",
  "5 s",
  " 5s",
  "5s ",
  "5S",
  "5sec",
  "5s later",
  "1,5s",
  ".5s",
  "5.s",
  "5y",
  "\u0665s",
  "Infinitys",
  "25d",
  "24d1ms",
  `${"9".repeat(400)}s`,
];

for (const text of NO_DURATIONS) {
  Deno.test(`duration(): refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
    assertThrows(() => duration(text), InvalidArgumentError);
  });
}

Deno.test("heartbeat(): whole seconds, with a unit or without, from 0 to 65535", () => {
  const accepted = { "0": 0, "15": 15, "15s": 15, "1m30s": 90, "2000ms": 2, "65535": 65_535 };
  for (const [text, seconds] of Object.entries(accepted)) {
    assertEquals(heartbeat(text), seconds, text);
  }
  for (const text of ["", "-1", "1.5", "1500ms", "65536", "99999", "1000000", "19h", "1e1"]) {
    assertThrows(() => heartbeat(text), InvalidArgumentError);
  }
});

Deno.test("wholeNumber(): digits alone, within its bounds", () => {
  const parse = wholeNumber(1, 65_535);
  assertEquals([parse("1"), parse("0065535")], [1, 65_535]);
  const refused = ["", "0", "65536", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1_0", "NaN"];
  for (const text of [...refused, "9".repeat(17), "9".repeat(400)]) {
    assertThrows(() => parse(text), InvalidArgumentError);
  }
});

Deno.test("collect(): keeps the order, and leaves what it was given as it was", () => {
  const first = collect("a", undefined);
  assertEquals(collect("b", first), ["a", "b"]);
  assertEquals(first, ["a"]);
});

const MATCHES: [patterns: string[], yes: string[], no: string[]][] = [
  [["a.b"], ["a.b"], ["axb", "a.bc", "ca.b", "A.B", ""]],
  [["a", "b"], ["a", "b"], ["ab", "a|b", "ba", "xa", "bx"]],
  [["a*", "*b"], ["a", "ax", "b", "xb"], ["ca", "bc", "xax"]],
  [["*"], ["", "a", "a\nb"], []],
  [["a*b*c"], ["abc", "axbxc", "abbcc", "abcbc"], ["ab", "ac", "acb", "xabc", "abcx"]],
  [["ab*ba"], ["abba", "ab\nba"], ["aba", "ab", "ba"]],
  [["*aa*aa*"], ["aaaa", "xaaxaax"], ["aaa", "aaxa"]],
  [["**"], ["", "a"], []],
  [["(a+)+$"], ["(a+)+$"], ["aaa"]],
  [[""], [""], ["a"]],
];

for (const [patterns, yes, no] of MATCHES) {
  Deno.test(`matcher(): ${JSON.stringify(patterns)}`, () => {
    const match = matcher(patterns);
    for (const name of yes) assertEquals(match(name), true, name);
    for (const name of no) assertEquals(match(name), false, name);
  });
}

Deno.test("matcher(): is what a regular expression says", () => {
  const text = fc.stringMatching(/^[ab*.]{0,8}$/);
  fc.assert(fc.property(fc.array(text, { maxLength: 3 }), text, (patterns, name) => {
    const alternatives = patterns.map((pattern) =>
      pattern.split("*").map(RegExp.escape).join(".*")
    );
    const expected = patterns.length > 0 && new RegExp(`^(${alternatives.join("|")})$`).test(name);
    assertEquals(matcher(patterns)(name), expected);
  }));
});

Deno.test("matcher(): reads a name once, however many parts a pattern has", () => {
  // A regular expression would try more ways than there are atoms.
  const match = matcher([`${"*.".repeat(100)}replies`]);
  assertEquals(match(`${".".repeat(100_000)}reply`), false);
});
