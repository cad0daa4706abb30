/** Lets a bounded number of calls run at once and a bounded number wait, first come first served. */
export class Semaphore {
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /**
   * @param concurrency calls that may run at once
   * @param queue calls that may wait
   */
  constructor(concurrency: number, queue: number) {
    this.#concurrency = concurrency;
    this.#queue = queue;
  }

  /** Whether nobody may even wait. Asked first, because a flood must be cheap to turn away. */
  get full(): boolean {
    return this.#running >= this.#concurrency && this.#waiting.length >= this.#queue;
  }

  /** Whether one more may run at once. */
  get free(): boolean {
    return this.#running < this.#concurrency;
  }

  /** Calls that run and calls that wait, for metrics. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /**
   * Waits for a place, also where the semaphore is {@link full}. Every place must be given back with {@link release}.
   *
   * @throws the signal's reason when it aborts the wait
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

  /** Gives a place back; the first who waits gets it. */
  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
