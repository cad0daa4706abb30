/** What all bodies together may hold while their requests have no connection to an upstream, in bytes. */
const MAX_BYTES = 33_554_432;

/** A request's body that is read ahead. */
export interface BufferedBody {
  /** Gives up, because the memory is needed by others. */
  evict(): void;
}

/**
 * Counts the memory of request bodies that are read ahead. A body that comes fast is whole soon; where the memory is
 * full, the one that has been read longest is given up, so that slow senders make room for the others.
 */
export class BufferedBodies {
  readonly #max: number;
  /** In the order in which they began. */
  readonly #held = new Map<BufferedBody, number>();
  #bytes = 0;

  /** @param max bytes of all bodies together */
  constructor(max = MAX_BYTES) {
    this.#max = max;
  }

  /** What is held now, in bytes, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many bodies are being read ahead. */
  get count(): number {
    return this.#held.size;
  }

  /** A body holds so many bytes more. */
  hold(body: BufferedBody, bytes: number): void {
    this.#held.set(body, (this.#held.get(body) ?? 0) + bytes);
    this.#bytes += bytes;
    while (this.#bytes > this.#max) {
      const [oldest] = this.#held.keys();
      if (oldest === undefined) return;
      this.release(oldest);
      oldest.evict();
    }
  }

  /** A body holds nothing any more that counts here. */
  release(body: BufferedBody): void {
    const bytes = this.#held.get(body);
    if (bytes === undefined) return;
    this.#held.delete(body);
    this.#bytes -= bytes;
  }
}
