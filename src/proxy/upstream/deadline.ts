/**
 * A timeout for a wait. It is restarted with every piece that arrives and rarely expires. So a restart does
 * not set a new timer: the running timer may fire early, and then checks the remaining time.
 */
export class Deadline {
  readonly #late: () => void;
  /** When the wait expires, in monotonic milliseconds. */
  #due = Number.POSITIVE_INFINITY;
  /** When the timer fires. */
  #rings = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param late called when the wait has expired; the timer does not keep the process alive */
  constructor(late: () => void) {
    this.#late = late;
  }

  /**
   * Starts the wait anew.
   *
   * @param ms milliseconds; 0 means no limit
   */
  wait(ms: number): void {
    if (ms === 0) {
      this.#due = Number.POSITIVE_INFINITY;
      return;
    }
    this.#due = performance.now() + ms;
    if (this.#due < this.#rings) this.#ring(ms);
  }

  /** Ends the wait and its timer. */
  end(): void {
    this.#due = Number.POSITIVE_INFINITY;
    this.#rings = Number.POSITIVE_INFINITY;
    clearTimeout(this.#timer);
  }

  #ring(ms: number): void {
    clearTimeout(this.#timer);
    this.#rings = this.#due;
    this.#timer = setTimeout(() => this.#onTimer(), ms).unref();
  }

  #onTimer(): void {
    this.#rings = Number.POSITIVE_INFINITY;
    const left = this.#due - performance.now();
    if (left > 0.5) {
      if (left !== Number.POSITIVE_INFINITY) this.#ring(left);
      return;
    }
    // If this process was blocked, data may have arrived that is still unread. `setImmediate` lets it be read
    // first.
    setImmediate(() => {
      if (this.#due - performance.now() <= 0.5) this.#late();
    });
  }
}
