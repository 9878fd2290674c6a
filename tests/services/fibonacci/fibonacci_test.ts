import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { decimalDigits, fibonacci } from "../../../src/services/fibonacci/math/fibonacci.ts";

/** Indices on both sides of the table of first numbers, and of many bits. */
const index = fc.oneof(fc.nat(300), fc.nat(20_000));

Deno.test("fibonacci() gives known values", () => {
  const known: [number, string][] = [
    [0, "0"],
    [1, "1"],
    [2, "1"],
    [30, "832040"],
    [93, "12200160415121876738"],
    [128, "251728825683549488150424261"],
    [300, "222232244629420445529739893461909967206666939096499764990979600"],
  ];
  for (const [n, digits] of known) assertEquals(fibonacci(n), BigInt(digits), `F(${n})`);
});

Deno.test("fibonacci() equals the plain iteration for n up to 2000", () => {
  let f = 0n;
  let next = 1n;
  for (let n = 0; n <= 2000; n++) {
    assertEquals(fibonacci(n), f, `F(${n})`);
    [f, next] = [next, f + next];
  }
});

Deno.test("fibonacci() obeys the recurrence around powers of two", () => {
  for (let k = 7; k <= 17; k++) {
    for (let n = 2 ** k - 3; n <= 2 ** k + 3; n++) {
      assertEquals(fibonacci(n + 2), fibonacci(n + 1) + fibonacci(n), `F(${n + 2})`);
    }
  }
});

Deno.test("fibonacci() obeys the addition formula", () => {
  fc.assert(fc.property(index, index, (m, n) => {
    assertEquals(
      fibonacci(m + n + 1),
      fibonacci(m + 1) * fibonacci(n + 1) + fibonacci(m) * fibonacci(n),
    );
  }));
});

Deno.test("fibonacci() obeys d'Ocagne's identity", () => {
  fc.assert(fc.property(index, fc.nat(500), (n, d) => {
    const m = n + d;
    const left = fibonacci(m) * fibonacci(n + 1) - fibonacci(m + 1) * fibonacci(n);
    assertEquals(left, (n % 2 ? -1n : 1n) * fibonacci(d));
  }));
});

Deno.test("fibonacci() obeys gcd(F(m), F(n)) = F(gcd(m, n))", () => {
  const gcd = (a: bigint, b: bigint): bigint => b === 0n ? a : gcd(b, a % b);
  fc.assert(fc.property(fc.nat(600), fc.nat(600), (m, n) => {
    assertEquals(
      gcd(fibonacci(m), fibonacci(n)),
      fibonacci(Number(gcd(BigInt(m), BigInt(n)))),
    );
  }));
});

Deno.test("fibonacci() has the known last digits for n = 10^6", () => {
  assertEquals(fibonacci(1_000_000) % 10n ** 10n, 8242546875n);
});

Deno.test("fibonacci() rejects what is not a non-negative integer", () => {
  for (const n of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => fibonacci(n), RangeError);
  }
});

Deno.test("decimalDigits() equals the length of the decimal text for n up to 5000", () => {
  for (let n = 0; n <= 5000; n++) {
    assertEquals(decimalDigits(n), fibonacci(n).toString().length, `F(${n})`);
  }
});

/** The length of F(n) from 10^50 log10(phi) (OEIS A097348) and 10^50 log10(sqrt(5)). */
function digitsByLogarithm(n: number): number {
  const phi = 20898764024997873376927208923755541682245923991821n;
  const sqrt5 = 34948500216800940239313055263775348661590505926894n;
  return Number((BigInt(n) * phi - sqrt5) / 10n ** 50n) + 1;
}

Deno.test("decimalDigits() equals the logarithm in 50 digits for n up to 2 * 10^9", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 2_000_000_000 }), (n) => {
      assertEquals(decimalDigits(n), digitsByLogarithm(n));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("decimalDigits() is right where F(n) is next to a power of ten", () => {
  // log10(F(n)) is within 10^-6 to 2.4 * 10^-10 of an integer.
  const near = [964786, 7499627, 103534579, 519112806, 758856247, 1462195391, 1941682273];
  for (const n of near) {
    for (const m of [n - 1, n, n + 1]) assertEquals(decimalDigits(m), digitsByLogarithm(m));
  }
});
