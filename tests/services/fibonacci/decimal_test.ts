import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  fibonacciDecimal,
  fibonacciDigits,
  isCongruent,
} from "../../../src/services/fibonacci/math/decimal.ts";
import { fibonacci } from "../../../src/services/fibonacci/math/fibonacci.ts";

/** F(n) without the way out that hides an error in the decimal calculation. */
function withoutBigint(n: number): string {
  const { toString } = BigInt.prototype;
  BigInt.prototype.toString = () => {
    throw new Error(`F(${n}) was taken from the bigint`);
  };
  try {
    return fibonacciDecimal(n);
  } finally {
    BigInt.prototype.toString = toString;
  }
}

function assertEqualsBigint(n: number): void {
  // Not assertEquals of the texts, whose message would hold every digit.
  assert(withoutBigint(n) === fibonacci(n).toString(), `F(${n})`);
}

async function sha256(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("fibonacciDecimal() gives small numbers", () => {
  assertEquals(fibonacciDecimal(0), "0");
  assertEquals(fibonacciDecimal(1), "1");
  assertEquals(fibonacciDecimal(30), "832040");
});

Deno.test("fibonacciDecimal() equals the bigint around where it leaves it", () => {
  for (let n = 19_990; n < 20_000; n++) assertEquals(fibonacciDecimal(n), `${fibonacci(n)}`);
  for (let n = 20_000; n < 20_200; n++) assertEqualsBigint(n);
});

Deno.test("fibonacciDecimal() equals the bigint around powers of two", () => {
  for (let k = 15; k <= 20; k++) {
    for (const n of [2 ** k - 1, 2 ** k, 2 ** k + 1]) assertEqualsBigint(n);
  }
});

Deno.test("fibonacciDecimal() equals the bigint where the transform gets longer", () => {
  // 4 digits for each of 2^k or 3 * 2^k limbs, at log10(phi) digits for each n.
  for (const limbs of [2048, 3072, 4096, 6144, 8192, 12288, 16384, 49152]) {
    const n = Math.round(4 * limbs / 0.20898764024997873);
    for (let near = n - 25; near <= n + 25; near += limbs > 10_000 ? 10 : 1) {
      assertEqualsBigint(near);
    }
  }
});

Deno.test("fibonacciDecimal() equals the bigint for any n", () => {
  fc.assert(fc.property(fc.integer({ min: 20_000, max: 400_000 }), assertEqualsBigint));
});

Deno.test("fibonacciDecimal() gives the digits that GNU MP gives", async () => {
  // SHA-256 of mpz_fib_ui and mpz_get_str, GMP 6.2.1.
  const known: [number, string][] = [
    [20_000, "a6b6220ab3eb4a7e31e5cb773b15e8e5c36bfd90ed20c166e4975eeb0fd56882"],
    [1_000_000, "aef6e8c19df607aa07940f2abde8460d1b34c18df1a6f46b5fc04dfe9be51706"],
    [10_000_000, "dee686d8c2407fb7fae2c58f8096d07baa790709d489454691af77d29cf3fb4d"],
  ];
  for (const [n, hash] of known) assertEquals(await sha256(withoutBigint(n)), hash, `F(${n})`);
});

Deno.test("fibonacciDecimal() obeys the recurrence in the last digits for n = 10^7 to 10^7 + 2", () => {
  const last = (n: number) => BigInt(withoutBigint(n).slice(-1000));
  assertEquals(last(10_000_002), (last(10_000_001) + last(10_000_000)) % 10n ** 1000n);
});

Deno.test("isCongruent() finds what one of its two checks can't", () => {
  const n = 20_000;
  const digits = fibonacci(n).toString();
  const limbs = new Float64Array(Math.ceil(digits.length / 4));
  for (let j = 0; j < limbs.length; j++) {
    limbs[j] = Number(digits.slice(-4 * (j + 1), digits.length - 4 * j));
  }
  const isRight = () => isCongruent(limbs, n, () => {});
  assert(isRight());
  assert(limbs[10] !== limbs[11]);
  [limbs[10], limbs[11]] = [limbs[11]!, limbs[10]!]; // Their sum is the same.
  assert(!isRight());
  [limbs[10], limbs[11]] = [limbs[11]! + 1, limbs[10]! + 1]; // Their difference is the same.
  assert(!isRight());
  limbs[10] -= 1;
  limbs[11] -= 1;
  assert(isRight());
});

Deno.test("fibonacciDigits() ends at any checkpoint that throws", () => {
  let count = 0;
  fibonacciDigits(300_000, () => count++);
  assert(count > 50, `${count} checkpoints`);
  for (let last = 1; last <= count; last++) {
    let left = last;
    const checkpoint = () => {
      if (--left === 0) throw new Error("enough");
    };
    const error = assertThrows(() => fibonacciDigits(300_000, checkpoint), Error);
    assertEquals(error.message, "enough");
  }
});
