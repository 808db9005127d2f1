/** Items that wait, by owner. Owners take turns; within one, the first to come goes first. */
export class Turns<Item extends object> {
  /** In order of their next turns. */
  readonly #owners = new Map<string | undefined, Set<Item>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(owner: string | undefined, item: Item): void {
    const items = this.#owners.get(owner) ?? new Set();
    this.#owners.set(owner, items);
    items.add(item);
    this.#size++;
  }

  remove(owner: string | undefined, item: Item): void {
    const items = this.#owners.get(owner);
    if (!items?.delete(item)) return;
    this.#size--;
    if (items.size === 0) this.#owners.delete(owner);
  }

  /** Takes out the item whose turn it is. */
  next(): Item | undefined {
    for (const [owner, items] of this.#owners) {
      for (const item of items) {
        this.#owners.delete(owner);
        this.#owners.set(owner, items); // last in the order from now on
        this.remove(owner, item);
        return item;
      }
    }
    return undefined;
  }

  /** Those that wait, in no particular order. */
  *all(): Generator<Item> {
    for (const items of this.#owners.values()) yield* items;
  }
}
