/**
 * Random choices that a seed makes again.
 *
 * @module
 */

/** A seed: `$FIBRPC_TEST_SEED`, or a new one. */
export function seedOf(): number {
  const given = Deno.env.get("FIBRPC_TEST_SEED");
  return given ? Number(given) : Math.floor(Math.random() * 2 ** 32);
}

/** Marsaglia's xorshift with 32 bits: enough to choose, and short. */
export class Random {
  #state: number;

  /** @param seed Any number. */
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
    for (let i = 0; i < 16; i++) this.next();
  }

  /** From 0 to 1, without 1. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state / 2 ** 32;
  }

  /** A whole number from 0, below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** One of several. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  /** Whether something happens that happens once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** Bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
