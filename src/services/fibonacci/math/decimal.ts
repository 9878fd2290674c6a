/**
 * Fibonacci numbers calculated as decimal text.
 *
 * @module
 */
import { type Checkpoint, squareLength, squarePolynomial } from "./convolution.ts";
import { fibonacci } from "./fibonacci.ts";

/** From here on, on V8 and JavaScriptCore alike, this is faster than converting a `bigint`. */
const MIN_DECIMAL_N = 20_000;

/**
 * Up to here the rounding errors of a square are rounded away. The theorem
 * named at {@linkcode squarePolynomial} proves that for n up to 5 * 10^6 and
 * digits as good as random (a sum of 5/12 BASE^2 for each limb). The errors
 * themselves are 3e-5 for 10^7 and 1.4e-4 for 10^8; an error of 0.5 would be one too many.
 */
const MAX_DECIMAL_N = 100_000_000;

/** The limbs are of 4 decimal digits, which are 4 bytes in ASCII. */
const BASE = 10 ** 4;

/** The digit 0 in ASCII. */
const ASCII_ZERO = 48;

/** How many limbs are worked on from one checkpoint to the next. */
const CHECKPOINT_EVERY = 8192;

/** Added and subtracted again, it rounds a double of less than 2^51 to an integer. */
const ROUND = 1.5 * 2 ** 52;

/** F(k) and the Lucas number L(k), in limbs of -BASE/2 to BASE/2, lowest first. */
interface Pair {
  readonly k: number;
  readonly f: Float64Array;
  readonly l: Float64Array;
}

/**
 * The digits of the `n`-th Fibonacci number, the same as
 * `fibonacci(n).toString()`.
 *
 * @param n A non-negative integer.
 * @throws `RangeError` as {@linkcode fibonacci} does.
 */
export function fibonacciDecimal(n: number): string {
  if (n < MIN_DECIMAL_N) return fibonacci(n).toString();
  return new TextDecoder().decode(fibonacciDigits(n));
}

/**
 * The digits of the `n`-th Fibonacci number, in ASCII.
 *
 * Most of the time for a large `n` would go into the conversion from binary,
 * so the number is calculated in decimal from the start. Its multiplications
 * are done in floating point, with errors that rounding takes away; all the
 * same, each result is compared with F(n) modulo BASE - 1 and BASE + 1, and
 * taken from the `bigint` if it differs.
 *
 * @param n A non-negative integer.
 * @param checkpoint Called on the way, but for an `n` below 20,000 or over
 * 10^8. What it throws ends the calculation.
 * @throws `RangeError` as {@linkcode fibonacci} does.
 */
export function fibonacciDigits(
  n: number,
  checkpoint: Checkpoint = () => {},
): Uint8Array<ArrayBuffer> {
  if (n >= MIN_DECIMAL_N && n <= MAX_DECIMAL_N && Number.isInteger(n)) {
    const limbs = fibonacciLimbs(n, checkpoint);
    if (isCongruent(limbs, n, checkpoint)) return toAscii(limbs, checkpoint);
  }
  return new TextEncoder().encode(fibonacci(n).toString());
}

/** The limbs of F(n), 0 to BASE - 1, lowest first. */
function fibonacciLimbs(n: number, checkpoint: Checkpoint): Float64Array {
  // The indices on the way are n's leading bits, from 4 bits on.
  let shift = 28 - Math.clz32(n);
  let pair = firstPair(n >> shift);
  while (--shift > 0) {
    pair = double(pair, checkpoint);
    if (n >> shift & 1) pair = next(pair, checkpoint);
    pair = trim(pair);
  }
  // The last bit needs one product only:
  //   F(2k) = F(k) L(k),  F(2k + 1) = F(k + 1) L(k) - (-1)^k
  const { k, f, l } = pair;
  const odd = n % 2 === 1;
  const { im } = square(odd ? next(pair, checkpoint).f : f, l, 1, checkpoint);
  const limbs = im.subarray(0, 2 * l.length);
  let carry = odd ? -sign(k) : 0;
  for (let j = 0; j < limbs.length; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    const value = round(limbs[j]! / 2) + carry;
    carry = Math.floor(value / BASE);
    limbs[j] = value - carry * BASE;
  }
  return limbs.subarray(0, usedLength(limbs));
}

/** The pair of a `k` up to 15. */
function firstPair(k: number): Pair {
  const f = Number(fibonacci(k));
  const l = 2 * Number(fibonacci(k + 1)) - f;
  return { k, f: Float64Array.of(f, 0), l: Float64Array.of(l, 0) };
}

/** F(2k) and L(2k) from F(k) and L(k). */
function double({ k, f, l }: Pair, checkpoint: Checkpoint): Pair {
  // One complex square gives both. With s = (-1)^k and L^2 = 5 F^2 + 4 s:
  //   (2F + iL)^2 = 4 F^2 - L^2 + 4i F L = -F^2 - 4 s + 4i F(2k)
  //   L(2k) = L^2 - 2 s = 5 F^2 + 2 s
  const { re, im } = square(f, l, 2, checkpoint);
  const newF = im.subarray(0, 2 * l.length);
  const newL = re.subarray(0, 2 * l.length);
  let carryF = 0;
  let carryL = -18 * sign(k);
  for (let j = 0; j < newL.length; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    const valueF = round(newF[j]! / 4) + carryF;
    const valueL = -5 * round(newL[j]!) + carryL;
    carryF = round(valueF / BASE);
    carryL = round(valueL / BASE);
    newF[j] = valueF - carryF * BASE;
    newL[j] = valueL - carryL * BASE;
  }
  return { k: 2 * k, f: newF, l: newL };
}

/** F(k + 1) = (F(k) + L(k)) / 2 and L(k + 1) = F(k + 1) + 2 F(k). */
function next({ k, f, l }: Pair, checkpoint: Checkpoint): Pair {
  const newF = new Float64Array(f.length);
  const newL = new Float64Array(f.length);
  let rest = 0;
  for (let j = f.length - 1; j >= 0; j--) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    const twice = f[j]! + l[j]! + rest * BASE;
    newF[j] = Math.floor(twice / 2);
    rest = twice - 2 * newF[j]!;
  }
  let carryF = 0;
  let carryL = 0;
  for (let j = 0; j < f.length; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    const valueF = newF[j]! + carryF;
    const valueL = newF[j]! + 2 * f[j]! + carryL;
    carryF = round(valueF / BASE);
    carryL = round(valueL / BASE);
    newF[j] = valueF - carryF * BASE;
    newL[j] = valueL - carryL * BASE;
  }
  return { k: k + 1, f: newF, l: newL };
}

/** The coefficients of (scale * f + i l)^2. */
function square(
  f: Float64Array,
  l: Float64Array,
  scale: number,
  checkpoint: Checkpoint,
): { re: Float64Array; im: Float64Array } {
  const length = squareLength(2 * l.length - 1);
  const re = new Float64Array(length);
  const im = new Float64Array(length);
  for (let j = 0; j < f.length; j++) re[j] = scale * f[j]!;
  im.set(l);
  squarePolynomial(re, im, checkpoint);
  return { re, im };
}

function trim({ k, f, l }: Pair): Pair {
  const length = usedLength(l);
  return { k, f: f.subarray(0, length), l: l.subarray(0, length) };
}

function usedLength(limbs: Float64Array): number {
  let { length } = limbs;
  while (limbs[length - 1] === 0) length--;
  return length;
}

function round(value: number): number {
  return (value + ROUND) - ROUND;
}

/** (-1)^k */
function sign(k: number): number {
  return k % 2 ? -1 : 1;
}

/** Whether the limbs are F(n) modulo BASE - 1 and BASE + 1. Exported for tests. */
export function isCongruent(limbs: Float64Array, n: number, checkpoint: Checkpoint): boolean {
  let sum = 0;
  let alternating = 0;
  for (let j = 0; j < limbs.length; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    sum += limbs[j]!;
    alternating += j % 2 ? -limbs[j]! : limbs[j]!;
  }
  return sum % (BASE - 1) === fibonacciModulo(n, BASE - 1) &&
    (alternating - fibonacciModulo(n, BASE + 1)) % (BASE + 1) === 0;
}

/** F(n) modulo a `modulus` of up to 2^25, by plain doubling. */
function fibonacciModulo(n: number, modulus: number): number {
  let a = 0; // F(k)
  let b = 1; // F(k + 1)
  for (let shift = 31 - Math.clz32(n); shift >= 0; shift--) {
    const even = a * (2 * b - a + modulus) % modulus;
    const odd = (a * a + b * b) % modulus;
    [a, b] = n >> shift & 1 ? [odd, (even + odd) % modulus] : [even, odd];
  }
  return a;
}

/** The four digits of each limb, as the bytes of one word. Made by the first that needs it. */
let limbWords: Uint32Array | undefined;

function toAscii(limbs: Float64Array, checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  limbWords ??= makeLimbWords();
  const words = new Uint32Array(limbs.length);
  for (let j = 0; j < limbs.length; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    words[limbs.length - 1 - j] = limbWords[limbs[j]!]!;
  }
  const ascii = new Uint8Array(words.buffer);
  return ascii.subarray(ascii.findIndex((byte) => byte !== ASCII_ZERO));
}

function makeLimbWords(): Uint32Array {
  const words = new Uint32Array(BASE);
  const ascii = new Uint8Array(words.buffer);
  for (let limb = 0; limb < BASE; limb++) {
    for (let digit = 3, rest = limb; digit >= 0; digit--, rest = Math.floor(rest / 10)) {
      ascii[4 * limb + digit] = ASCII_ZERO + rest % 10;
    }
  }
  return words;
}
