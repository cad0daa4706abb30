import type { ErrorName } from '../model/errors.js';
import type { ReadinessState } from '../model/introspection.js';
import type { Audit, Entrance } from './audit.js';
import type { ClientShareKind } from './client-shares.js';
import type { MetricSources } from './metric-sources.js';
import type { ShedCause } from './overload.js';
import type { Totals } from './totals.js';

/** How many requests a rule allowed and denied. */
export interface RuleCounts {
  readonly allowed: number;
  readonly denied: number;
  /** Those that scopegate answered with an error, by its name. */
  readonly denials: ReadonlyMap<ErrorName, number>;
}

/** Counts events, and writes them in the Prometheus text format. */
export interface Metrics {
  /** Counts a finished request. */
  readonly record: Audit;
  /** Counts a request that overload protection refused. */
  shed(entrance: Entrance, method: string, cause: ShedCause): void;
  /** Counts a refusal because a client has reached one of its limits. */
  shareRefused(kind: ClientShareKind): void;
  /** Counts a reload of a TLS listener's certificates. */
  certificatesReloaded(listener: string, ok: boolean): void;
  /** Counts spans that the collector accepted, or that were lost. */
  spansExported(spans: number, ok: boolean): void;
  /** Counts a failed introspection call. */
  introspectionFailed(): void;
  /** Counts a check of an authorization server's readiness. */
  readinessChecked(result: ReadinessState): void;
  /** Counts an exception that ended one exchange. */
  failed(): void;
  /** Counts a failed operation of the shared cache. */
  sharedCacheFailed(): void;
  /**
   * Counts a DPoP proof that was compared with the proofs of this gateway only, because the shared store
   * failed.
   */
  proofUnshared(): void;
  /**
   * Counts a reload of the rules.
   *
   * @param at seconds since 1970
   */
  reloaded(ok: boolean, at: number): void;
  /** Reads these sources from now on. Counting begins before the parts exist that the gauges read. */
  watch(sources: MetricSources): void;
  /** Counts by rule id, for the admin page. Rules without requests are absent. */
  counts(): ReadonlyMap<string, RuleCounts>;
  /** The counts since the start, over all rules, for series over time. */
  totals(): Totals;
  /** The media type of {@link text}. */
  readonly contentType: string;
  text(): Promise<string>;
}
