/**
 * Fibonacci numbers as `bigint`s, and how long they are.
 *
 * @module
 */

/** F(0) to F(127): where doubling starts, and all that most requests need. Made by the first. */
let firstNumbers: readonly bigint[] | undefined;

function makeFirstNumbers(): bigint[] {
  const numbers = [0n, 1n];
  while (numbers.length < 128) numbers.push(numbers.at(-1)! + numbers.at(-2)!);
  return numbers;
}

/**
 * The `n`-th Fibonacci number, exactly: F(0) = 0, F(1) = 1,
 * F(n) = F(n - 1) + F(n - 2).
 *
 * Where only its digits are wanted, `fibonacciDecimal` is several times as fast
 * for a large `n`.
 *
 * @param n A non-negative integer.
 * @throws `RangeError` if `n` isn't one, or if the engine's `bigint` is too
 * small for the result (2^30 bits in V8: `n` over 1,546,000,000).
 */
export function fibonacci(n: number): bigint {
  if (!Number.isSafeInteger(n) || n < 0) {
    throw new RangeError(`fibonacci(${n}): n is not a non-negative integer`);
  }
  const first = firstNumbers ??= makeFirstNumbers();
  if (n < first.length) return first[n]!;

  // The indices on the way are n's leading bits. From F = F(k) and G = F(k - 1)
  // each further bit takes two squares, which are cheaper than products:
  //   F(2k - 1) = F^2 + G^2,  F(2k + 1) = 4 F^2 - G^2 + 2 (-1)^k
  // (GNU MP manual, "Algorithms", "Fibonacci Numbers").
  const bits = n.toString(2);
  let read = 7;
  let k = parseInt(bits.slice(0, read), 2);
  let f = first[k]!;
  let g = first[k - 1]!;
  for (; read < bits.length - 1; read++) {
    const f2 = f * f;
    const g2 = g * g;
    const below = f2 + g2;
    const above = (f2 << 2n) - g2 + (k % 2 ? -2n : 2n);
    k *= 2;
    f = above - below;
    if (bits[read] === "1") {
      k++;
      g = f;
      f = above;
    } else {
      g = below;
    }
  }
  // The last bit needs one product only, with the Lucas number L = F(k + 1) + F(k - 1).
  const lucas = f + 2n * g;
  if (bits.at(-1) === "0") return f * lucas;
  return (f + g) * lucas + (k % 2 ? 1n : -1n);
}

/**
 * How many decimal digits the `n`-th Fibonacci number has, without
 * calculating it: the floor of n log10(phi) - log10(sqrt(5)), plus 1.
 *
 * @param n A non-negative integer. Over 2 * 10^9, where no `bigint` is large
 * enough for F(n), the result may be off by one.
 */
export function decimalDigits(n: number): number {
  if (n < 2) return 1;
  // log10(phi) = 107/512 + 3.265e-6, so that the large part is exact.
  const large = n * (107 / 512);
  const whole = Math.floor(large);
  const rest = large - whole + n * 3.26524997873376927e-6 - Math.log10(5) / 2;
  return whole + Math.floor(rest) + 1;
}
