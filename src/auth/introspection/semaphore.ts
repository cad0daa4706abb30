/** A semaphore: a bounded number of calls run at once, and a bounded number wait in a queue. */
export class Semaphore {
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /**
   * @param concurrency the most calls that run at once
   * @param queue the most calls that wait
   */
  constructor(concurrency: number, queue: number) {
    this.#concurrency = concurrency;
    this.#queue = queue;
  }

  /** Whether no further call may even wait. Callers check this first, so that a refusal is cheap. */
  get full(): boolean {
    return this.#running >= this.#concurrency && this.#waiting.length >= this.#queue;
  }

  /** Whether one more call may run now. */
  get free(): boolean {
    return this.#running < this.#concurrency;
  }

  /** The number of running and of waiting calls, for metrics. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /**
   * Waits until the call may run, even if the semaphore is {@link full}. {@link release} must be called when
   * it ends.
   *
   * @throws the signal's reason if it aborts the wait
   */
  async acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#concurrency) {
      this.#running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const admitted = () => {
        signal.removeEventListener('abort', left);
        resolve();
      };
      const left = () => {
        this.#waiting.splice(this.#waiting.indexOf(admitted), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', left, { once: true });
      this.#waiting.push(admitted);
    });
  }

  /** Called when a call ends. The first waiting call may then run. */
  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
