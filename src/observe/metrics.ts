import { Registry } from 'prom-client';
import { ERRORS } from '../model/errors.js';
import type { Refreshes, ServerState } from '../model/introspection.js';
import type { PoolState } from '../model/upstream.js';
import type { Audit, Entrance } from './audit.js';
import type { ShedCause } from './overload.js';
import { definitions, Histogram, one, processMetrics, sum } from './prometheus.js';
import { keyOf, labelsOf, Tally } from './tally.js';
import { version } from './version.js';

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

/** What one rule was asked and how it went. */
export interface RuleCounts {
  readonly allowed: number;
  readonly denied: number;
}

/** Counts what happens, and tells it in Prometheus' text format. */
export interface Metrics {
  /** A request is over. */
  readonly record: Audit;
  /** A request was turned away unread. */
  shed(entrance: Entrance, method: string, cause: ShedCause): void;
  /** An attempt to load a TLS listener's certificates again is over. */
  certificatesReloaded(listener: string, ok: boolean): void;
  /** Spans were exported, or lost. */
  spansExported(spans: number, ok: boolean): void;
  /** An introspection call failed. */
  introspectionFailed(): void;
  /** An exception ended one exchange. */
  failed(): void;
  /** The cache that gateways share was of no use. */
  sharedCacheFailed(): void;
  /** A DPoP proof was compared with those of this gateway alone, where it should have been with those of all. */
  proofUnshared(): void;
  /** An attempt to load the rules again is over. @param at seconds since 1970 */
  reloaded(ok: boolean, at: number): void;
  /** By rule, for the admin page; rules nobody asked for are absent. */
  counts(): ReadonlyMap<string, RuleCounts>;
  /** Media type of {@link text}. */
  readonly contentType: string;
  text(): Promise<string>;
}

/** The label of requests that no rule matched; no rule's id is without `/` and `#`. */
const NO_RULE = 'none';
/** The label of requests that ended after their rule was gone. */
const RETIRED = 'retired';

const FAST = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const SLOW = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180];

/** Builds the metrics of one gateway. */
export function createMetrics(sources: MetricSources): Metrics {
  const tallies = new Map<string, Tally>();
  let known: ReadonlySet<string> = new Set();
  let knownVersion = -1;
  let introspectionFailures = 0;
  let internalErrors = 0;
  let sharedFailures = 0;
  let unsharedProofs = 0;
  const shed: Record<ShedCause, number> = { in_flight: 0, event_loop: 0 };
  const certificates = { ok: 0, failed: 0, lastOk: new Map<string, boolean>() };
  const spans = { exported: 0, lost: 0 };
  const reloads = { ok: 0, failed: 0, lastOk: true, lastAt: 0 };
  const lookups = {
    hit: 0,
    negative_hit: 0,
    shared: 0,
    miss: 0,
    coalesced: 0,
    stale: 0,
    failed: 0,
    limited: 0,
  };
  const requestTime = new Histogram(SLOW);
  const upstreamTime = new Histogram(SLOW);
  const decisionTime = {
    none: new Histogram(FAST),
    hit: new Histogram(FAST),
    shared: new Histogram(FAST),
    miss: new Histogram(FAST),
    coalesced: new Histogram(FAST),
    stale: new Histogram(FAST),
    failed: new Histogram(FAST),
    limited: new Histogram(FAST),
  };
  const introspectionTime = {
    shared: new Histogram(FAST),
    miss: new Histogram(FAST),
    coalesced: new Histogram(FAST),
    stale: new Histogram(FAST),
    failed: new Histogram(FAST),
  };

  function tallyOf(rule: string | undefined): Tally {
    const id = rule ?? NO_RULE;
    let tally = tallies.get(id);
    if (tally === undefined) {
      refresh();
      const label = rule === undefined || known.has(rule) ? id : RETIRED;
      tally = tallies.get(label) ?? new Tally();
      tallies.set(label, tally);
    }
    return tally;
  }

  /** Forgets rules that are gone: reloads must not pile up series. */
  function refresh(): void {
    const { version: current, rules } = sources.rules();
    if (current === knownVersion) return;
    knownVersion = current;
    known = new Set(rules.map(({ id }) => id));
    for (const id of tallies.keys()) {
      if (id !== NO_RULE && id !== RETIRED && !known.has(id)) tallies.delete(id);
    }
  }

  const registry = new Registry();
  const ofProcess = processMetrics();
  const { define, counter, gauge, histogram } = definitions(registry);

  counter('scopegate_requests_total', 'Requests that are over, by what became of them.', () => {
    refresh();
    return [...tallies].flatMap(([rule, { requests }]) =>
      [...requests].map(([key, value]) => ({ value, labels: { rule, ...labelsOf(key) } })),
    );
  });
  counter('scopegate_errors_total', 'Requests answered with an error of the gateway, by its name.', () =>
    [...tallies].flatMap(([rule, { denials }]) =>
      [...denials].map(([error, value]) => ({ value, labels: { rule, error } })),
    ),
  );
  counter(
    'scopegate_internal_errors_total',
    'Exceptions in scopegate, each of which ended one exchange; the log has the place.',
    () => one(internalErrors),
  );
  // Buckets for every rule would be a series for each of them.
  const ofRules = 'scopegate_rule_duration_seconds';
  define(ofRules, 'summary', 'Whole requests by rule: how many, and how long they took together.', () =>
    [...tallies].flatMap(([rule, { count, seconds }]) => [
      { metricName: `${ofRules}_sum`, value: seconds, labels: { rule } },
      { metricName: `${ofRules}_count`, value: count, labels: { rule } },
    ]),
  );
  gauge('scopegate_requests_in_flight', 'Requests that have entered and are not over.', () =>
    one(sources.inFlight()),
  );
  counter(
    'scopegate_requests_shed_total',
    'Requests turned away unread, by what there was too much of.',
    () => Object.entries(shed).map(([cause, value]) => ({ value, labels: { cause } })),
  );
  gauge('scopegate_admitted_share', 'The share of requests that is let in; below 1 under overload.', () =>
    one(sources.admittedShare()),
  );
  gauge(
    'scopegate_upstream_connections',
    'Open connections to an upstream: idle, busy with an exchange that is soon over, or with one that lasts (long).',
    () =>
      sources.pools().flatMap(({ origin: upstream, open, busy, long }) => [
        { value: open - busy - long, labels: { upstream, state: 'idle' } },
        { value: busy, labels: { upstream, state: 'busy' } },
        { value: long, labels: { upstream, state: 'long' } },
      ]),
  );
  gauge('scopegate_upstream_waiting', 'Requests that wait for a connection to an upstream.', () =>
    sources.pools().map(({ origin: upstream, waiting: value }) => ({ value, labels: { upstream } })),
  );
  counter(
    'scopegate_upstream_turned_away_total',
    'Requests that got no connection to an upstream in time, and exchanges that lasted and found no room.',
    () => sources.pools().map(({ origin: upstream, turnedAway: value }) => ({ value, labels: { upstream } })),
  );
  gauge('scopegate_request_bodies_bytes', 'What request bodies hold in memory that are read ahead.', () =>
    one(sources.bufferedBytes()),
  );
  histogram('scopegate_request_duration_seconds', 'From the head of a request to the end of its answer.', [
    [{}, requestTime],
  ]);
  histogram(
    'scopegate_decision_duration_seconds',
    'From the head of a request to the decision, by where the answer about the token came from.',
    Object.entries(decisionTime).map(([introspection, child]) => [{ introspection }, child]),
  );
  histogram(
    'scopegate_introspection_duration_seconds',
    'How long requests waited for an answer about their token that the cache did not have.',
    Object.entries(introspectionTime).map(([result, child]) => [{ result }, child]),
  );
  histogram(
    'scopegate_upstream_duration_seconds',
    'From sending a request to the upstream until its answer began.',
    [[{}, upstreamTime]],
  );
  counter('scopegate_introspection_lookups_total', 'Answers about tokens, by where they came from.', () =>
    Object.entries(lookups).map(([result, value]) => ({ value, labels: { result } })),
  );
  counter(
    'scopegate_introspection_failures_total',
    'Introspection calls that brought no usable answer.',
    () => one(introspectionFailures),
  );
  counter(
    'scopegate_shared_cache_failures_total',
    'Questions to the cache that gateways share, and connections to it, that failed.',
    () => one(sharedFailures),
  );
  counter(
    'scopegate_dpop_proofs_unshared_total',
    'DPoP proofs of which the shared store could not say whether another gateway had taken them.',
    () => one(unsharedProofs),
  );
  gauge('scopegate_introspection_cache_entries', 'Answers kept.', () => {
    const { active, inactive } = sources.cache();
    return [
      { value: active, labels: { kind: 'active' } },
      { value: inactive, labels: { kind: 'inactive' } },
    ];
  });
  gauge('scopegate_introspection_cache_bytes', 'What active answers take, about.', () =>
    one(sources.cache().bytes),
  );
  counter(
    'scopegate_introspection_cache_evictions_total',
    'Answers pushed out by others before they ended.',
    () => one(sources.cache().evictions),
  );
  counter(
    'scopegate_introspection_refreshes_total',
    'Answers in use that were due to be asked for again before their end, by what became of it.',
    () => Object.entries(sources.refreshes).map(([result, value]) => ({ value, labels: { result } })),
  );
  gauge(
    'scopegate_introspection_calls',
    'Introspection calls in flight, and requests that wait to make one.',
    () => {
      const servers = sources.servers();
      return [
        { value: sum(servers.map(({ running }) => running)), labels: { state: 'running' } },
        { value: sum(servers.map(({ waiting }) => waiting)), labels: { state: 'waiting' } },
      ];
    },
  );
  gauge('scopegate_breakers', 'Circuit breakers, one an authorization server, by their state.', () => {
    const states = sources.servers().map(({ breaker }) => breaker);
    return (['closed', 'open', 'half-open'] as const).map((state) => ({
      value: states.filter((each) => each === state).length,
      labels: { state },
    }));
  });
  gauge('scopegate_rules', 'Rules in force.', () => one(sources.rules().rules.length));
  gauge('scopegate_rules_version', 'The version of the rule set in force; grows with every reload.', () =>
    one(sources.rules().version),
  );
  counter('scopegate_rule_reloads_total', 'Attempts to load the rules again.', () => [
    { value: reloads.ok, labels: { result: 'ok' } },
    { value: reloads.failed, labels: { result: 'failed' } },
  ]);
  gauge(
    'scopegate_rule_reload_successful',
    'Whether the last attempt put a new set in force; 1 before the first.',
    () => one(reloads.lastOk ? 1 : 0),
  );
  gauge('scopegate_rule_reload_timestamp_seconds', 'When that was; 0 before the first.', () =>
    one(reloads.lastAt),
  );
  counter('scopegate_tls_reloads_total', 'Attempts to load certificates again.', () => [
    { value: certificates.ok, labels: { result: 'ok' } },
    { value: certificates.failed, labels: { result: 'failed' } },
  ]);
  gauge(
    'scopegate_tls_reload_successful',
    'Whether the last attempt, for every listener, put new certificates in force; 1 before the first.',
    () => one([...certificates.lastOk.values()].includes(false) ? 0 : 1),
  );
  gauge('scopegate_tls_expiry_timestamp_seconds', 'When the first certificate of a listener ends.', () =>
    sources.certificates().map(({ listener, expiresAt }) => ({ value: expiresAt, labels: { listener } })),
  );
  gauge('scopegate_ready', 'Whether requests are served: 1, or 0 while draining.', () =>
    one(sources.ready() ? 1 : 0),
  );
  counter('scopegate_log_lines_dropped_total', 'Log lines that were lost because nobody took them.', () =>
    one(sources.droppedLines()),
  );
  counter('scopegate_trace_spans_total', 'Spans of the tracing, by whether the collector took them.', () =>
    Object.entries(spans).map(([result, value]) => ({ value, labels: { result } })),
  );
  gauge('scopegate_build_info', 'Always 1; the version is in the label.', () => [
    { value: 1, labels: { version } },
  ]);

  return {
    record: (entry) => {
      const tally = tallyOf(entry.rule);
      const key = keyOf(entry);
      tally.requests.set(key, (tally.requests.get(key) ?? 0) + 1);
      if (entry.decision === 'allow') tally.allowed++;
      else tally.denied++;
      const { error, introspection, introspectionMs } = entry;
      if (error !== undefined) tally.denials.set(error, (tally.denials.get(error) ?? 0) + 1);
      decisionTime[introspection ?? 'none'].observe(entry.decisionMs);
      if (introspection !== undefined) {
        // Only a token that is not active is refused as invalid without a word on whose it is.
        const negative = introspection === 'hit' && error === 'invalid_token' && entry.subject === undefined;
        lookups[negative ? 'negative_hit' : introspection]++;
        const waited = introspection !== 'hit' && introspection !== 'limited';
        if (waited) introspectionTime[introspection].observe(introspectionMs ?? 0);
      }
      if (entry.upstreamMs !== undefined) upstreamTime.observe(entry.upstreamMs);
      requestTime.observe(entry.ms);
      tally.count++;
      tally.seconds += entry.ms / 1000;
    },
    shed: (entrance, method, cause) => {
      shed[cause]++;
      const tally = tallyOf(undefined);
      const key = keyOf({ entrance, method, decision: 'deny', status: ERRORS.overloaded.code });
      tally.requests.set(key, (tally.requests.get(key) ?? 0) + 1);
      tally.denials.set('overloaded', (tally.denials.get('overloaded') ?? 0) + 1);
      tally.denied++;
    },
    certificatesReloaded: (listener, ok) => {
      certificates[ok ? 'ok' : 'failed']++;
      certificates.lastOk.set(listener, ok);
    },
    spansExported: (count, ok) => {
      spans[ok ? 'exported' : 'lost'] += count;
    },
    failed: () => {
      internalErrors++;
    },
    sharedCacheFailed: () => {
      sharedFailures++;
    },
    proofUnshared: () => {
      unsharedProofs++;
    },
    introspectionFailed: () => {
      introspectionFailures++;
    },
    reloaded: (ok, at) => {
      reloads[ok ? 'ok' : 'failed']++;
      reloads.lastOk = ok;
      reloads.lastAt = at;
      refresh();
    },
    counts: () => {
      refresh();
      return tallies;
    },
    contentType: registry.contentType,
    text: async () => `${await registry.metrics()}\n${await ofProcess.metrics()}`,
  };
}
