import type { Refreshes, ServerState } from '../model/introspection.js';
import type { PoolState } from '../model/upstream.js';

/** Values that other parts of the gateway hold, and that metrics read at each scrape. */
export interface MetricSources {
  readonly rules: () => {
    readonly version: number;
    readonly rules: readonly { readonly id: string; readonly observes?: true }[];
  };
  readonly ready: () => boolean;
  readonly cache: () => CacheState;
  /** The authorization servers that were called so far. */
  readonly servers: () => readonly ServerState[];
  readonly refreshes: Readonly<Refreshes>;
  /** Requests in flight. */
  readonly inFlight: () => number;
  /** The connections to each upstream. */
  readonly pools: () => readonly PoolState[];
  /** The memory of request bodies that are read ahead, in bytes. */
  readonly bufferedBytes: () => number;
  /** The share of requests that overload protection admits: above 0, at most 1. */
  readonly admittedShare: () => number;
  /** When the certificates of the TLS listeners expire, in seconds since 1970. */
  readonly certificates: () => readonly { readonly listener: string; readonly expiresAt: number }[];
  /** Log lines that were dropped because the reader was too slow or gone. */
  readonly droppedLines: () => number;
}

/** Placeholders while the gateway starts. */
export const NO_SOURCES: MetricSources = {
  rules: () => ({ version: 0, rules: [] }),
  ready: () => false,
  cache: () => ({ active: 0, inactive: 0, bytes: 0, evictions: 0 }),
  servers: () => [],
  refreshes: { active: 0, inactive: 0, failed: 0, shared: 0, skipped: 0 },
  inFlight: () => 0,
  pools: () => [],
  bufferedBytes: () => 0,
  admittedShare: () => 1,
  certificates: () => [],
  droppedLines: () => 0,
};

/** The state of the cache of introspection answers. */
export interface CacheState {
  /** Cache entries. */
  readonly active: number;
  readonly inactive: number;
  /** About how much memory the active entries take, in bytes. */
  readonly bytes: number;
  /** Entries that were evicted before they expired. */
  readonly evictions: number;
}
