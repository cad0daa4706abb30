import type { Refreshes, ServerState } from '../model/introspection.js';
import type { PoolState } from '../model/upstream.js';

/** What is asked for at a scrape, and counted by those it belongs to. */
export interface MetricSources {
  readonly rules: () => { readonly version: number; readonly rules: readonly { readonly id: string }[] };
  readonly ready: () => boolean;
  readonly cache: () => CacheState;
  /** The authorization servers that were asked so far. */
  readonly servers: () => readonly ServerState[];
  readonly refreshes: Readonly<Refreshes>;
  /** Requests that were let in and are not over. */
  readonly inFlight: () => number;
  /** The connections to each upstream. */
  readonly pools: () => readonly PoolState[];
  /** What request bodies hold in memory that are read ahead, in bytes. */
  readonly bufferedBytes: () => number;
  /** The share of requests that is let in, above 0 to 1. */
  readonly admittedShare: () => number;
  /** When the certificates of the TLS listeners end, in seconds since 1970. */
  readonly certificates: () => readonly { readonly listener: string; readonly expiresAt: number }[];
  /** Log lines that were lost because nobody took them. */
  readonly droppedLines: () => number;
}

/** A gateway that is being put together. */
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
  /** Entries held. */
  readonly active: number;
  readonly inactive: number;
  /** What the active ones take, about, in bytes. */
  readonly bytes: number;
  /** Entries that were pushed out by others before they ended. */
  readonly evictions: number;
}
