/**
 * The number as a server in JavaScript computes it that expects small ones.
 *
 * @param {number} n
 */
export function fibonacci(n) {
  if (n > 78) return bigFibonacci(n); // Beyond 2^53.
  let a = 0;
  let b = 1;
  for (let k = 0; k < n; k++) [a, b] = [b, a + b];
  return a;
}

/** @param {number} n */
function bigFibonacci(n) {
  let a = 0n;
  let b = 1n;
  for (let k = 0; k < n; k++) [a, b] = [b, a + b];
  return a;
}
