/**
 * The square of a polynomial by fast Fourier transform in doubles: the kernel
 * under `fibonacciDecimal`.
 *
 * @module
 */

/** Blocks of up to this many coefficients (64 KiB) are worked on while they are in the cache. */
const CACHED_BLOCK = 4096;

/** How many roots are made, or fours of coefficients worked on, from one checkpoint to the next. */
const CHECKPOINT_EVERY = 2048;

/** How many roots are kept between calls, at most: 8 MiB. */
const MAX_KEPT_ROOTS = 2 ** 19;

let keptRe = Float64Array.of(1);
let keptIm = Float64Array.of(0);

/**
 * Called again and again in a long computation, mostly every 0.1 ms or less:
 * where it may rest, or end by an error.
 */
export type Checkpoint = () => void;

/** The coefficients under work, and the roots for them. */
interface Work {
  readonly re: Float64Array;
  readonly im: Float64Array;
  readonly rootRe: Float64Array;
  readonly rootIm: Float64Array;
  readonly checkpoint: Checkpoint;
}

/**
 * The least length that {@linkcode squarePolynomial} takes and that holds
 * `count` coefficients: 2^k or 3 * 2^k.
 */
export function squareLength(count: number): number {
  let length = 16;
  while (length < count) length *= 2;
  return length * 3 / 4 >= count && length > 16 ? length * 3 / 4 : length;
}

/**
 * Replaces a polynomial with complex coefficients by its square.
 *
 * A coefficient of the square is off by at most 24 * log2(length) * 2^-53
 * times the sum of |coefficient|^2 (3 times that for a length of 3 * 2^k), and
 * in practice by a thousandth of it: Brent, Percival and Zimmermann, "Error
 * bounds on complex floating-point multiplication" (2007), with sines and
 * cosines good to one unit in the last place.
 *
 * @param re The real parts, lowest coefficient first: a
 * {@linkcode squareLength} of them, the upper half zeros.
 * @param im The imaginary parts, likewise.
 * @param checkpoint Called on the way.
 */
export function squarePolynomial(
  re: Float64Array,
  im: Float64Array,
  checkpoint: Checkpoint,
): void {
  const { length } = re;
  const work = { re, im, ...roots(length / 2, checkpoint), checkpoint };
  if (length % 3 !== 0) return squareBlock(work, 0, length, 0, 1 / length);

  // Three quarters of a transform of 4m: modulo x^2m - 1, its block 0, and
  // modulo x^m - i, its block 2.
  const m = length / 3;
  for (let j = 0; j < m; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    re[2 * m + j] = re[j]! - im[m + j]!;
    im[2 * m + j] = im[j]! + re[m + j]!;
  }
  squareBlock(work, 0, 2 * m, 0, 1 / (2 * m));
  squareBlock(work, 2 * m, m, 2, 1 / m);
  // With A and C the two squares, the whole one is A + (x^2m - 1) T. Modulo
  // x^m - i that is A - 2T = C, hence T.
  for (let j = 0; j < m; j++) {
    if (j % CHECKPOINT_EVERY === 0) checkpoint();
    const tRe = (re[j]! - im[m + j]! - re[2 * m + j]!) / 2;
    const tIm = (im[j]! + re[m + j]! - im[2 * m + j]!) / 2;
    re[j]! -= tRe;
    im[j]! -= tIm;
    re[2 * m + j] = tRe;
    im[2 * m + j] = tIm;
  }
}

/**
 * The roots r by which blocks are split: block b, the polynomial modulo
 * x^2m - r[b]^2, into block 2b, modulo x^m - r[b], and block 2b + 1, modulo
 * x^m + r[b]. Block 0 is modulo x^length - 1. So r[2b] = sqrt(r[b]) and
 * r[2b + 1] = i r[2b], and the table of a size begins with that of each
 * smaller one.
 */
function roots(
  count: number,
  checkpoint: Checkpoint,
): { rootRe: Float64Array; rootIm: Float64Array } {
  if (keptRe.length >= count) return { rootRe: keptRe, rootIm: keptIm };
  const rootRe = new Float64Array(count);
  const rootIm = new Float64Array(count);
  rootRe.set(keptRe);
  rootIm.set(keptIm);
  // In quarter turns, exact: b's bits in reverse order after the point.
  const turns = new Float64Array(count);
  for (let m = 1; m < count; m *= 2) {
    for (let b = m; b < 2 * m; b++) turns[b] = turns[b - m]! + 1 / m;
  }
  for (let b = keptRe.length; b < count; b++) {
    if (b % CHECKPOINT_EVERY === 0) checkpoint();
    // Times i rather than the sine of a large angle, which is less exact.
    rootRe[b] = b % 2 ? -rootIm[b - 1]! : Math.cos(turns[b]! * (Math.PI / 2));
    rootIm[b] = b % 2 ? rootRe[b - 1]! : Math.sin(turns[b]! * (Math.PI / 2));
  }
  if (count <= MAX_KEPT_ROOTS) [keptRe, keptIm] = [rootRe, rootIm];
  return { rootRe, rootIm };
}

/** Squares block `b`, the `length` coefficients from `start`, and scales it. */
function squareBlock(
  work: Work,
  start: number,
  length: number,
  b: number,
  scale: number,
): void {
  if (length > CACHED_BLOCK) {
    const quarter = length / 4;
    inPieces(split, work, start, quarter, b);
    for (let k = 0; k < 4; k++) {
      squareBlock(work, start + k * quarter, quarter, 4 * b + k, scale);
    }
    inPieces(join, work, start, quarter, b);
    return;
  }
  work.checkpoint();
  let size = length;
  let count = 1;
  for (; size >= 4; size /= 4, count *= 4) {
    split(work, start, size / 4, b * count, count);
  }
  if (size === 2) squarePairs(work, start, b * count, count, 2 * scale);
  else squareNumbers(work, start, count, scale);
  while (size < length) {
    size *= 4;
    count /= 4;
    join(work, start, size / 4, b * count, count);
  }
}

/** Does one large block's {@linkcode split} or {@linkcode join}, with checkpoints. */
function inPieces(
  step: typeof split,
  work: Work,
  start: number,
  m: number,
  b: number,
): void {
  const piece = Math.min(m, CHECKPOINT_EVERY);
  for (let at = start; at < start + m; at += piece) {
    work.checkpoint();
    step(work, at, m, b, 1, piece);
  }
}

/**
 * Splits each of `count` blocks from `b` on into four of `m` coefficients, or
 * only the first `piece` coefficients of each of the four.
 */
function split(
  work: Work,
  start: number,
  m: number,
  b: number,
  count: number,
  piece: number = m,
): void {
  const { re, im, rootRe, rootIm } = work;
  for (const end = b + count; b < end; b++, start += 4 * m) {
    // Two levels in one pass: r[b] = s and r[2b] = t, whose square is s.
    const sRe = rootRe[b]!, sIm = rootIm[b]!;
    const tRe = rootRe[2 * b]!, tIm = rootIm[2 * b]!;
    const stRe = sRe * tRe - sIm * tIm, stIm = sRe * tIm + sIm * tRe;
    for (let j0 = start; j0 < start + piece; j0++) {
      const j1 = j0 + m, j2 = j1 + m, j3 = j2 + m;
      const aRe = re[j0]!, aIm = im[j0]!;
      const bRe = re[j1]! * tRe - im[j1]! * tIm,
        bIm = re[j1]! * tIm + im[j1]! * tRe;
      const cRe = re[j2]! * sRe - im[j2]! * sIm,
        cIm = re[j2]! * sIm + im[j2]! * sRe;
      const dRe = re[j3]! * stRe - im[j3]! * stIm,
        dIm = re[j3]! * stIm + im[j3]! * stRe;
      const pRe = aRe + cRe, pIm = aIm + cIm, qRe = aRe - cRe, qIm = aIm - cIm;
      const uRe = bRe + dRe, uIm = bIm + dIm, vRe = bRe - dRe, vIm = bIm - dIm;
      re[j0] = pRe + uRe;
      im[j0] = pIm + uIm;
      re[j1] = pRe - uRe;
      im[j1] = pIm - uIm;
      re[j2] = qRe - vIm;
      im[j2] = qIm + vRe;
      re[j3] = qRe + vIm;
      im[j3] = qIm - vRe;
    }
  }
}

/** Undoes {@linkcode split}, and multiplies by 4. */
function join(
  work: Work,
  start: number,
  m: number,
  b: number,
  count: number,
  piece: number = m,
): void {
  const { re, im, rootRe, rootIm } = work;
  for (const end = b + count; b < end; b++, start += 4 * m) {
    const sRe = rootRe[b]!, sIm = rootIm[b]!;
    const tRe = rootRe[2 * b]!, tIm = rootIm[2 * b]!;
    const stRe = sRe * tRe - sIm * tIm, stIm = sRe * tIm + sIm * tRe;
    for (let j0 = start; j0 < start + piece; j0++) {
      const j1 = j0 + m, j2 = j1 + m, j3 = j2 + m;
      const pRe = re[j0]! + re[j1]!, pIm = im[j0]! + im[j1]!;
      const uRe = re[j0]! - re[j1]!, uIm = im[j0]! - im[j1]!;
      const qRe = re[j2]! + re[j3]!, qIm = im[j2]! + im[j3]!;
      const vRe = im[j2]! - im[j3]!, vIm = re[j3]! - re[j2]!;
      re[j0] = pRe + qRe;
      im[j0] = pIm + qIm;
      const bRe = uRe + vRe, bIm = uIm + vIm;
      re[j1] = bRe * tRe + bIm * tIm;
      im[j1] = bIm * tRe - bRe * tIm;
      const cRe = pRe - qRe, cIm = pIm - qIm;
      re[j2] = cRe * sRe + cIm * sIm;
      im[j2] = cIm * sRe - cRe * sIm;
      const dRe = uRe - vRe, dIm = uIm - vIm;
      re[j3] = dRe * stRe + dIm * stIm;
      im[j3] = dIm * stRe - dRe * stIm;
    }
  }
}

/** Squares `count` blocks of one coefficient. */
function squareNumbers(
  { re, im }: Work,
  start: number,
  count: number,
  scale: number,
): void {
  for (let j = start; j < start + count; j++) {
    const aRe = re[j]!, aIm = im[j]!;
    re[j] = (aRe - aIm) * (aRe + aIm) * scale;
    im[j] = 2 * aRe * aIm * scale;
  }
}

/** Squares `count` blocks of two coefficients: (a + bx)^2 modulo x^2 - w. */
function squarePairs(
  work: Work,
  start: number,
  b: number,
  count: number,
  scale: number,
): void {
  const { re, im, rootRe, rootIm } = work;
  for (let j = start; j < start + 2 * count; j += 2, b++) {
    const wRe = b % 2 ? -rootRe[b >> 1]! : rootRe[b >> 1]!;
    const wIm = b % 2 ? -rootIm[b >> 1]! : rootIm[b >> 1]!;
    const aRe = re[j]!, aIm = im[j]!, bRe = re[j + 1]!, bIm = im[j + 1]!;
    const sRe = (bRe - bIm) * (bRe + bIm), sIm = 2 * bRe * bIm;
    re[j] = ((aRe - aIm) * (aRe + aIm) + sRe * wRe - sIm * wIm) * scale;
    im[j] = (2 * aRe * aIm + sRe * wIm + sIm * wRe) * scale;
    re[j + 1] = 2 * (aRe * bRe - aIm * bIm) * scale;
    im[j + 1] = 2 * (aRe * bIm + aIm * bRe) * scale;
  }
}
