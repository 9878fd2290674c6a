/**
 * What is to be aborted by signals, with one listener for each signal: to take
 * away one of many listeners takes a runtime the longer the more there are, and
 * callers pass one signal to thousands of calls.
 *
 * @module
 */

export class AbortSignals<Item> {
  readonly #onAbort: (item: Item, signal: AbortSignal) => void;
  readonly #items = new Map<AbortSignal, Set<Item>>();

  /** @param onAbort Is called with each item that was added for a signal when it aborts. */
  constructor(onAbort: (item: Item, signal: AbortSignal) => void) {
    this.#onAbort = onAbort;
  }

  /** Listens for an item to a signal that hasn't aborted. */
  add(item: Item, signal: AbortSignal): void {
    let items = this.#items.get(signal);
    if (items === undefined) {
      items = new Set();
      this.#items.set(signal, items);
      signal.addEventListener("abort", this.#abort);
    }
    items.add(item);
  }

  delete(item: Item, signal: AbortSignal): void {
    const items = this.#items.get(signal);
    items?.delete(item);
    if (items?.size === 0) this.#forget(signal);
  }

  readonly #abort = ({ target }: Event): void => {
    const signal = target as AbortSignal;
    const items = this.#items.get(signal) ?? [];
    this.#forget(signal);
    for (const item of items) this.#onAbort(item, signal);
  };

  #forget(signal: AbortSignal): void {
    this.#items.delete(signal);
    signal.removeEventListener("abort", this.#abort);
  }
}
