/**
 * A limit to how long something is waited for. It is set anew with every piece that comes and reached hardly ever, so
 * setting it costs no timer: the one that runs may go off early, and looks again.
 */
export class Deadline {
  readonly #late: () => void;
  /** In monotonic milliseconds. */
  #due = Number.POSITIVE_INFINITY;
  /** When the timer goes off. */
  #rings = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param late called when the limit is reached; the timer itself keeps no process alive */
  constructor(late: () => void) {
    this.#late = late;
  }

  /**
   * Waits from now on.
   *
   * @param ms milliseconds; 0 for ever
   */
  wait(ms: number): void {
    if (ms === 0) {
      this.#due = Number.POSITIVE_INFINITY;
      return;
    }
    this.#due = performance.now() + ms;
    if (this.#due < this.#rings) this.#ring(ms);
  }

  /** Waits no more. */
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
    // Where this process itself was held up, what has come meanwhile is still unread: it is read before this.
    setImmediate(() => {
      if (this.#due - performance.now() <= 0.5) this.#late();
    });
  }
}
