/** The most memory of all bodies together whose requests have no upstream connection yet, in bytes. */
const MAX_BYTES = 33_554_432;

/** A request body that is read ahead. */
export interface BufferedBody {
  /** Ends the body, because other bodies need the memory. */
  evict(): void;
}

/**
 * Counts the memory of request bodies that are read ahead. If the memory is full, the oldest body is evicted.
 * A fast body is complete soon, so the oldest is most likely a slow sender, and it makes room for the others.
 */
export class BufferedBodies {
  readonly #max: number;
  /** In the order in which reading began. */
  readonly #held = new Map<BufferedBody, number>();
  #bytes = 0;

  /** @param max bytes of all bodies together */
  constructor(max = MAX_BYTES) {
    this.#max = max;
  }

  /** The approximate memory in use now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many bodies are being read ahead. */
  get count(): number {
    return this.#held.size;
  }

  /** Counts further bytes for a body, and evicts the oldest bodies if the memory is full. */
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

  /** Stops counting a body. */
  release(body: BufferedBody): void {
    const bytes = this.#held.get(body);
    if (bytes === undefined) return;
    this.#held.delete(body);
    this.#bytes -= bytes;
  }
}
