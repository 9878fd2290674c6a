import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  squareLength,
  squarePolynomial,
} from "../../../src/services/fibonacci/math/convolution.ts";

/** Squares random coefficients of up to 4 in size, and gives the largest error. */
function largestError(length: number): number {
  const re = new Float64Array(length);
  const im = new Float64Array(length);
  const random = () => Math.floor(Math.random() * 9) - 4;
  for (let j = 0; j < length / 2; j++) [re[j], im[j]] = [random(), random()];
  const expectedRe = new Float64Array(length);
  const expectedIm = new Float64Array(length);
  for (let j = 0; j < length / 2; j++) {
    for (let k = 0; k < length / 2; k++) {
      expectedRe[j + k]! += re[j]! * re[k]! - im[j]! * im[k]!;
      expectedIm[j + k]! += re[j]! * im[k]! + im[j]! * re[k]!;
    }
  }
  squarePolynomial(re, im, () => {});
  const error = (value: number, j: number) =>
    Math.max(Math.abs(value - expectedRe[j]!), Math.abs(im[j]! - expectedIm[j]!));
  return re.map(error).reduce((a, b) => Math.max(a, b));
}

Deno.test("squareLength() is the least length of 2^k or 3 * 2^k that holds the coefficients", () => {
  const lengths = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536];
  fc.assert(fc.property(fc.integer({ min: 1, max: 1536 }), (count) => {
    assertEquals(squareLength(count), lengths.find((length) => length >= count));
  }));
});

Deno.test("squarePolynomial() equals the schoolbook square at every kind of length", () => {
  // Both kinds of length, odd and even powers, within a cached block and over it.
  for (const length of [16, 24, 32, 48, 64, 96, 128, 4096, 6144, 8192, 12288, 16384]) {
    const error = largestError(length);
    assert(error < 1e-9, `off by ${error} at ${length}`);
  }
});

Deno.test("squarePolynomial() doesn't depend on the lengths before", () => {
  for (const length of [1024, 16, 96, 2048, 24]) {
    const error = largestError(length);
    assert(error < 1e-9, `off by ${error} at ${length}`);
  }
});
