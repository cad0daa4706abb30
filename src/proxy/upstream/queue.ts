/** One who waits, between those before and after. */
interface Place<T> {
  readonly item: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
  waits: boolean;
}

/**
 * First in, first out, and whoever waits may leave: each in a time that does not grow with the queue. The first of a
 * `Set` does not come so cheaply: it steps over those that have left.
 */
export class Queue<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** @returns takes it out again, if it still waits */
  add(item: T): () => void {
    const place: Place<T> = { item, before: this.#last, after: undefined, waits: true };
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size++;
    return () => this.#remove(place);
  }

  /** Whoever has waited longest; he waits no more. */
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
    // Whoever still holds this place would hold all that came after it, too.
    place.before = undefined;
    place.after = undefined;
    this.#size--;
  }
}
