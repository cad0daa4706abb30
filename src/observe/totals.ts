import type { AuditEntry } from './audit.js';
import type { Histogram } from './prometheus.js';

/**
 * The outcome of a request: scopegate allowed it; it would have been denied, but its rule only observes;
 * scopegate denied it (4xx); or it failed, here or at the upstream (5xx).
 */
export type Outcome = 'allowed' | 'wouldDeny' | 'denied' | 'failed';

/** A histogram's observations so far. */
export interface Buckets {
  /** The upper bounds in seconds, ascending. */
  readonly bounds: readonly number[];
  /** Counts for each bucket, not cumulative. The last bucket has no upper bound. */
  readonly counts: readonly number[];
}

/** Counts since the start, from which rates and percentiles over time are made. */
export interface Totals {
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Requests that overload protection refused; they are in `outcomes.failed` too. */
  readonly shed: number;
  readonly sharedCacheFailures: number;
  /** Token look-ups that the cache of this gateway answered, and all token look-ups. */
  readonly cacheHits: number;
  readonly lookups: number;
  /** The time until the decision. */
  readonly decision: Buckets;
  /** The time that requests waited for an answer that was not in the cache. */
  readonly introspection: Buckets;
  /** The time until the upstream's response began. */
  readonly upstream: Buckets;
}

/** Returns the outcome of a finished request. */
export function outcomeOf({
  decision,
  wouldDeny,
  status,
}: Pick<AuditEntry, 'decision' | 'wouldDeny' | 'status'>): Outcome {
  if (status >= 500) return 'failed';
  if (decision === 'deny') return 'denied';
  return wouldDeny === undefined ? 'allowed' : 'wouldDeny';
}

/** Adds histograms with the same bounds up. */
export function addUp(histograms: readonly Histogram[]): Buckets {
  const [first] = histograms;
  if (first === undefined) return { bounds: [], counts: [] };
  const counts = first.buckets.map((_, i) =>
    histograms.reduce((total, { buckets }) => total + (buckets[i] as number), 0),
  );
  return { bounds: first.bounds, counts };
}

/**
 * Estimates a percentile, like Prometheus' `histogram_quantile`: values are assumed to be spread evenly inside a bucket.
 *
 * @param share which one, from 0 to 1: 0.95 for p95
 * @returns seconds; undefined without observations; the highest bound if the value lies above it
 */
export function quantile(share: number, { bounds, counts }: Buckets): number | undefined {
  const total = counts.reduce((all, count) => all + count, 0);
  if (total === 0) return undefined;
  const rank = share * total;
  let below = 0;
  for (let i = 0; i < bounds.length; i++) {
    const count = counts[i] as number;
    if (count > 0 && below + count >= rank) {
      const lower = i === 0 ? 0 : (bounds[i - 1] as number);
      return lower + ((bounds[i] as number) - lower) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}
