import type { Clock } from '../model/clock.js';
import { type Buckets, type Outcome, quantile, type Totals } from '../observe/totals.js';

/** How far back the series go, in seconds. */
const SECONDS = 900;

/** What `GET /series` returns: the last fifteen minutes, in steps. */
export interface SeriesJson {
  /** When the last step ended, in ISO 8601. */
  readonly end: string;
  /** The length of a step, in seconds. */
  readonly step: number;
  /** How far back the series can go, in seconds. Right after the start they are shorter. */
  readonly span: number;
  /** Finished requests in each step, by outcome; the oldest step first, as in all the lists here. */
  readonly outcomes: Readonly<Record<Outcome, readonly number[]>>;
  /** The share of token look-ups that the cache answered, from 0 to 1; null in a step without any. */
  readonly hitRate: readonly (number | null)[];
  readonly decision: PercentilesJson;
  readonly introspection: PercentilesJson;
  readonly upstream: PercentilesJson;
}

/** Percentiles of a duration in each step, in milliseconds; null in a step without any. */
export interface PercentilesJson {
  readonly p50: readonly (number | null)[];
  readonly p95: readonly (number | null)[];
}

const OUTCOMES: readonly Outcome[] = ['allowed', 'wouldDeny', 'denied', 'failed'];
const DURATIONS = ['decision', 'introspection', 'upstream'] as const;

/**
 * The last fifteen minutes in one-second buckets, for the admin page. Requests pay nothing for it: once a second, the
 * difference to the counters of a second ago is written into a ring buffer of fixed size (some 200 kB).
 */
export class Series {
  readonly #totals: () => Totals;
  readonly #clock: Clock;
  readonly #start: number;
  readonly #columns: number;
  readonly #ring: Uint32Array;
  /** The bounds of each duration's buckets. */
  readonly #bounds: readonly (readonly number[])[];
  #last: readonly number[];
  /** How many seconds are in the ring buffer or have left it. */
  #filled = 0;

  /** @param totals returns the counters; they only grow */
  constructor(totals: () => Totals, clock: Clock) {
    this.#totals = totals;
    this.#clock = clock;
    this.#start = clock.monotonic();
    const first = totals();
    this.#bounds = DURATIONS.map((name) => first[name].bounds);
    this.#last = flatten(first);
    this.#columns = this.#last.length;
    this.#ring = new Uint32Array(SECONDS * this.#columns);
  }

  /** Writes the counters of the second that has passed. It does nothing before that second is over. */
  sample(): void {
    const passed = Math.floor((this.#clock.monotonic() - this.#start) / 1000);
    if (passed <= this.#filled) return;
    // If the event loop was late, nothing is known of the seconds in between: they stay empty.
    for (let second = Math.max(this.#filled, passed - SECONDS); second < passed; second++) {
      this.#ring.fill(0, this.#at(second), this.#at(second) + this.#columns);
    }
    const now = flatten(this.#totals());
    now.forEach((total, i) => {
      this.#ring[this.#at(passed - 1) + i] = total - (this.#last[i] as number);
    });
    this.#last = now;
    this.#filled = passed;
  }

  /**
   * Returns the series in steps.
   *
   * @param step seconds; it divides the span
   */
  read(step: number): SeriesJson {
    this.sample();
    // Whole steps only, which begin at the same second each time: otherwise their values would change with
    // each read.
    const to = Math.floor(this.#filled / step) * step;
    const from = Math.ceil(Math.max(0, this.#filled - SECONDS) / step) * step;
    const steps: number[][] = [];
    for (let second = from; second < to; second += step) steps.push(this.#sum(second, step));
    const age = (this.#clock.monotonic() - this.#start) / 1000 - to;
    const outcome = (index: number) => steps.map((sums) => sums[index] as number);
    const percentiles = (duration: number): PercentilesJson => {
      const at = (share: number) => steps.map((sums) => milliseconds(share, this.#buckets(sums, duration)));
      return { p50: at(0.5), p95: at(0.95) };
    };
    return {
      end: new Date((this.#clock.wall() - age) * 1000).toISOString(),
      step,
      span: SECONDS,
      outcomes: { allowed: outcome(0), wouldDeny: outcome(1), denied: outcome(2), failed: outcome(3) },
      hitRate: steps.map(([, , , , hits = 0, lookups = 0]) =>
        lookups === 0 ? null : Math.round((hits / lookups) * 10_000) / 10_000,
      ),
      decision: percentiles(0),
      introspection: percentiles(1),
      upstream: percentiles(2),
    };
  }

  #at(second: number): number {
    return (second % SECONDS) * this.#columns;
  }

  #sum(from: number, seconds: number): number[] {
    const sums = new Array<number>(this.#columns).fill(0);
    for (let second = from; second < from + seconds; second++) {
      const at = this.#at(second);
      for (let i = 0; i < sums.length; i++) (sums[i] as number) += this.#ring[at + i] as number;
    }
    return sums;
  }

  #buckets(sums: readonly number[], duration: number): Buckets {
    const before = this.#bounds.slice(0, duration).reduce((all, bounds) => all + bounds.length + 1, 0);
    const bounds = this.#bounds[duration] as readonly number[];
    const from = OUTCOMES.length + 2 + before;
    return { bounds, counts: sums.slice(from, from + bounds.length + 1) };
  }
}

/** The counters as one row: the outcomes, hits and lookups of the cache, then the buckets of each duration. */
function flatten(totals: Totals): number[] {
  return [
    ...OUTCOMES.map((name) => totals.outcomes[name]),
    totals.cacheHits,
    totals.lookups,
    ...DURATIONS.flatMap((name) => totals[name].counts),
  ];
}

function milliseconds(share: number, buckets: Buckets): number | null {
  const seconds = quantile(share, buckets);
  return seconds === undefined ? null : Math.round(seconds * 1e6) / 1000;
}
