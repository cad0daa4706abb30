/** Latencies in milliseconds at which so many percent of the requests are answered or better. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/**
 * Percentiles by nearest rank: each is a latency that a request really had.
 *
 * @param values milliseconds, in any order
 * @returns NaN for each if there is no value
 */
export function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number =>
    sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

/**
 * Requests at a fixed rate, each with the time at which it is due. Whoever waits for a free connection counts from then on:
 * a load that counts from the moment of sending leaves out everybody who would have waited ("coordinated omission").
 */
export class Schedule {
  readonly #rate: number;
  readonly #total: number;
  #taken = 0;

  /**
   * @param rate requests a second
   * @param seconds for which requests become due
   */
  constructor(rate: number, seconds: number) {
    this.#rate = rate;
    this.#total = Math.max(1, Math.round(rate * seconds));
  }

  /** How many requests there are in all. */
  get total(): number {
    return this.#total;
  }

  /**
   * Takes the oldest request that is due.
   *
   * @param now milliseconds since the beginning
   * @returns when it was due, in milliseconds since the beginning; undefined if none is
   */
  take(now: number): number | undefined {
    const due = (this.#taken * 1000) / this.#rate;
    if (this.#taken >= this.#total || due > now) return undefined;
    this.#taken++;
    return due;
  }

  /** Milliseconds until the next request is due, 0 if one is; undefined if all have been taken. */
  wait(now: number): number | undefined {
    if (this.#taken >= this.#total) return undefined;
    return Math.max(0, (this.#taken * 1000) / this.#rate - now);
  }
}
