/** A waiting item, linked to the items before and after it. */
interface Place<T> {
  readonly item: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
  waits: boolean;
}

/**
 * A first-in, first-out queue from which waiting items can be removed, each in constant time. The first
 * element of a `Set` is not found in constant time: the iterator steps over the removed ones.
 */
export class Queue<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  /** How many items wait. */
  get size(): number {
    return this.#size;
  }

  /** @returns a function that removes the item if it still waits */
  add(item: T): () => void {
    const place: Place<T> = { item, before: this.#last, after: undefined, waits: true };
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size++;
    return () => this.#remove(place);
  }

  /** Removes and returns the item that has waited longest. */
  take(): T | undefined {
    const place = this.#first;
    if (place === undefined) return undefined;
    this.#remove(place);
    return place.item;
  }

  #remove(place: Place<T>): void {
    if (!place.waits) return;
    place.waits = false;
    if (place.before === undefined) this.#first = place.after;
    else place.before.after = place.after;
    if (place.after === undefined) this.#last = place.before;
    else place.after.before = place.before;
    // Otherwise a reference to this place would keep all later places in memory.
    place.before = undefined;
    place.after = undefined;
    this.#size--;
  }
}
