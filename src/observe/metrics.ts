import { Registry } from 'prom-client';
import { ERRORS } from '../model/errors.js';
import type { ReadinessState } from '../model/introspection.js';
import type { ClientShareKind } from './client-shares.js';
import type { Metrics } from './metric-events.js';
import { type MetricSources, NO_SOURCES } from './metric-sources.js';
import type { ShedCause } from './overload.js';
import { definitions, FAST, Histogram, one, processMetrics, SLOW, sum } from './prometheus.js';
import { keyOf, labelsOf, Tally } from './tally.js';
import { addUp, outcomeOf } from './totals.js';
import { version } from './version.js';

/**
 * The label of requests that no rule matched. It cannot be a rule's id, because those contain `/` and `#`.
 */
const NO_RULE = 'none';
/** The label of requests that ended after a reload removed their rule. */
const RETIRED = 'retired';

/**
 * Builds the metrics of one gateway.
 *
 * @param first the sources until {@link Metrics.watch} is called
 */
export function createMetrics(first: MetricSources = NO_SOURCES): Metrics {
  let sources = first;
  const tallies = new Map<string, Tally>();
  let known: ReadonlySet<string> = new Set();
  let knownVersion = -1;
  let introspectionFailures = 0;
  const readiness: Record<ReadinessState, number> = { ready: 0, not_ready: 0, absent: 0 };
  let internalErrors = 0;
  let sharedFailures = 0;
  let unsharedProofs = 0;
  const shed: Record<ShedCause, number> = { in_flight: 0, event_loop: 0 };
  const sharesRefused: Record<ClientShareKind, number> = { connections: 0, inFlight: 0, longExchanges: 0 };
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
  const outcomes = { allowed: 0, wouldDeny: 0, denied: 0, failed: 0 };
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

  /** Removes the series of rules that a reload removed, so that reloads do not accumulate series. */
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

  counter('scopegate_requests_total', 'Finished requests, by rule, method, decision and status.', () => {
    refresh();
    return [...tallies].flatMap(([rule, { requests }]) =>
      [...requests].map(([key, value]) => ({ value, labels: { rule, ...labelsOf(key) } })),
    );
  });
  counter(
    'scopegate_errors_total',
    'Requests that scopegate answered with an error, by the name of the error.',
    () =>
      [...tallies].flatMap(([rule, { denials }]) =>
        [...denials].map(([error, value]) => ({ value, labels: { rule, error } })),
      ),
  );
  counter(
    'scopegate_would_deny_total',
    'Requests that passed because enforcement is observe, by the name of the error with which they would be denied.',
    () =>
      [...tallies].flatMap(([rule, { wouldDeny }]) =>
        [...wouldDeny].map(([error, value]) => ({ value, labels: { rule, error } })),
      ),
  );
  counter(
    'scopegate_internal_errors_total',
    'Exceptions in scopegate. Each ended one exchange; the log says where.',
    () => one(internalErrors),
  );
  // A summary, because a histogram would need a series for each rule and bucket.
  const ofRules = 'scopegate_rule_duration_seconds';
  define(
    ofRules,
    'summary',
    'Duration of finished requests by rule: their number and their total time.',
    () =>
      [...tallies].flatMap(([rule, { count, seconds }]) => [
        { metricName: `${ofRules}_sum`, value: seconds, labels: { rule } },
        { metricName: `${ofRules}_count`, value: count, labels: { rule } },
      ]),
  );
  gauge('scopegate_rules_observing', 'Rules whose decisions are not enforced (enforcement: observe).', () =>
    one(sources.rules().rules.filter(({ observes }) => observes === true).length),
  );
  gauge('scopegate_requests_in_flight', 'Requests in flight.', () => one(sources.inFlight()));
  counter(
    'scopegate_requests_shed_total',
    'Requests that overload protection refused unread, by cause.',
    () => Object.entries(shed).map(([cause, value]) => ({ value, labels: { cause } })),
  );
  counter(
    'scopegate_client_share_refused_total',
    'Connections, requests and long exchanges refused because the client had reached its limit, by limit.',
    () => Object.entries(sharesRefused).map(([share, value]) => ({ value, labels: { share } })),
  );
  gauge(
    'scopegate_admitted_share',
    'The share of requests that overload protection admits; below 1 under overload.',
    () => one(sources.admittedShare()),
  );
  gauge(
    'scopegate_upstream_connections',
    'Open connections to an upstream: idle, busy with a short exchange, or with a long one.',
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
    'Requests that got no connection to an upstream in time, and long exchanges refused because there were too many.',
    () => sources.pools().map(({ origin: upstream, turnedAway: value }) => ({ value, labels: { upstream } })),
  );
  gauge(
    'scopegate_request_bodies_bytes',
    'Memory of request bodies that scopegate reads before it forwards them.',
    () => one(sources.bufferedBytes()),
  );
  histogram(
    'scopegate_request_duration_seconds',
    'Time from the head of a request to the end of its response.',
    [[{}, requestTime]],
  );
  histogram(
    'scopegate_decision_duration_seconds',
    'Time from the head of a request to the decision, by where the answer about the token came from.',
    Object.entries(decisionTime).map(([introspection, child]) => [{ introspection }, child]),
  );
  histogram(
    'scopegate_introspection_duration_seconds',
    'Time that requests waited for an answer about their token that was not in the cache.',
    Object.entries(introspectionTime).map(([result, child]) => [{ result }, child]),
  );
  histogram(
    'scopegate_upstream_duration_seconds',
    'Time from sending a request to the upstream until its response began.',
    [[{}, upstreamTime]],
  );
  counter('scopegate_introspection_lookups_total', 'Answers about tokens, by where they came from.', () =>
    Object.entries(lookups).map(([result, value]) => ({ value, labels: { result } })),
  );
  counter('scopegate_introspection_failures_total', 'Introspection calls without a usable answer.', () =>
    one(introspectionFailures),
  );
  counter(
    'scopegate_introspection_readiness_checks_total',
    'Checks whether an authorization server that answered inactive can look tokens up, by result.',
    () => Object.entries(readiness).map(([result, value]) => ({ value, labels: { result } })),
  );
  counter(
    'scopegate_shared_cache_failures_total',
    'Failed operations and failed connections of the shared cache.',
    () => one(sharedFailures),
  );
  counter(
    'scopegate_dpop_proofs_unshared_total',
    'DPoP proofs for which the shared store could not say whether another gateway had accepted them before.',
    () => one(unsharedProofs),
  );
  gauge('scopegate_introspection_cache_entries', 'Entries in the cache of introspection answers.', () => {
    const { active, inactive } = sources.cache();
    return [
      { value: active, labels: { kind: 'active' } },
      { value: inactive, labels: { kind: 'inactive' } },
    ];
  });
  gauge('scopegate_introspection_cache_bytes', 'About how much memory the active cache entries take.', () =>
    one(sources.cache().bytes),
  );
  counter('scopegate_introspection_cache_evictions_total', 'Cache entries evicted before they expired.', () =>
    one(sources.cache().evictions),
  );
  counter(
    'scopegate_introspection_refreshes_total',
    'Refreshes of cache entries in use before they expire, by result.',
    () => Object.entries(sources.refreshes).map(([result, value]) => ({ value, labels: { result } })),
  );
  gauge(
    'scopegate_introspection_calls',
    'Introspection calls in flight (running), and requests that wait to make one (waiting).',
    () => {
      const servers = sources.servers();
      return [
        { value: sum(servers.map(({ running }) => running)), labels: { state: 'running' } },
        { value: sum(servers.map(({ waiting }) => waiting)), labels: { state: 'waiting' } },
      ];
    },
  );
  gauge(
    'scopegate_breakers',
    'Circuit breakers by state; there is one for each authorization server.',
    () => {
      const states = sources.servers().map(({ breaker }) => breaker);
      return (['closed', 'open', 'half-open'] as const).map((state) => ({
        value: states.filter((each) => each === state).length,
        labels: { state },
      }));
    },
  );
  gauge('scopegate_rules', 'Rules in use.', () => one(sources.rules().rules.length));
  gauge('scopegate_rules_version', 'The version of the rule set in use; grows with every reload.', () =>
    one(sources.rules().version),
  );
  counter('scopegate_rule_reloads_total', 'Reloads of the rules, by result.', () => [
    { value: reloads.ok, labels: { result: 'ok' } },
    { value: reloads.failed, labels: { result: 'failed' } },
  ]);
  gauge(
    'scopegate_rule_reload_successful',
    'Whether the last reload of the rules succeeded; 1 before the first.',
    () => one(reloads.lastOk ? 1 : 0),
  );
  gauge(
    'scopegate_rule_reload_timestamp_seconds',
    'When the last reload of the rules was; 0 before the first.',
    () => one(reloads.lastAt),
  );
  counter('scopegate_tls_reloads_total', 'Reloads of the certificates of listeners, by result.', () => [
    { value: certificates.ok, labels: { result: 'ok' } },
    { value: certificates.failed, labels: { result: 'failed' } },
  ]);
  gauge(
    'scopegate_tls_reload_successful',
    'Whether the last reload of certificates succeeded for every listener; 1 before the first.',
    () => one([...certificates.lastOk.values()].includes(false) ? 0 : 1),
  );
  gauge('scopegate_tls_expiry_timestamp_seconds', 'When the first certificate of a listener expires.', () =>
    sources.certificates().map(({ listener, expiresAt }) => ({ value: expiresAt, labels: { listener } })),
  );
  gauge('scopegate_ready', 'Whether scopegate is ready: 1 while it serves requests, 0 while it drains.', () =>
    one(sources.ready() ? 1 : 0),
  );
  counter(
    'scopegate_log_lines_dropped_total',
    'Log lines dropped because the reader was too slow or gone.',
    () => one(sources.droppedLines()),
  );
  counter('scopegate_trace_spans_total', 'Spans by result: exported to the collector, or lost.', () =>
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
      outcomes[outcomeOf(entry)]++;
      const { error, wouldDeny, introspection, introspectionMs } = entry;
      if (wouldDeny !== undefined) tally.wouldDeny.set(wouldDeny, (tally.wouldDeny.get(wouldDeny) ?? 0) + 1);
      if (error !== undefined) tally.denials.set(error, (tally.denials.get(error) ?? 0) + 1);
      decisionTime[introspection ?? 'none'].observe(entry.decisionMs);
      if (introspection !== undefined) {
        // An inactive answer has no subject (RFC 7662 §2.2). Every other token that is refused as invalid has
        // one.
        const negative =
          introspection === 'hit' && (error ?? wouldDeny) === 'invalid_token' && entry.subject === undefined;
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
      outcomes.failed++;
      const tally = tallyOf(undefined);
      const key = keyOf({ entrance, method, decision: 'deny', status: ERRORS.overloaded.code });
      tally.requests.set(key, (tally.requests.get(key) ?? 0) + 1);
      tally.denials.set('overloaded', (tally.denials.get('overloaded') ?? 0) + 1);
      tally.denied++;
    },
    shareRefused: (kind) => {
      sharesRefused[kind]++;
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
    readinessChecked: (result) => {
      readiness[result]++;
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
    watch: (next) => {
      sources = next;
    },
    counts: () => {
      refresh();
      return tallies;
    },
    totals: () => ({
      outcomes: { ...outcomes },
      shed: sum(Object.values(shed)),
      sharedCacheFailures: sharedFailures,
      cacheHits: lookups.hit + lookups.negative_hit,
      lookups: sum(Object.values(lookups)) - lookups.limited,
      decision: addUp(Object.values(decisionTime)),
      introspection: addUp(Object.values(introspectionTime)),
      upstream: addUp([upstreamTime]),
    }),
    contentType: registry.contentType,
    text: async () => `${await registry.metrics()}\n${await ofProcess.metrics()}`,
  };
}
