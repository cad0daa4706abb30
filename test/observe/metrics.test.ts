import t from 'tap';
import type { AuditEntry } from '../../src/observe/audit.js';
import type { MetricSources } from '../../src/observe/metric-sources.js';
import { createMetrics } from '../../src/observe/metrics.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { startTestGateway } from '../gateway.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';
import { readExposition } from './exposition.js';
import { scrape, traffic } from './metrics-setup.js';

t.test('what happened is counted, by rule, method, decision and status', async (t) => {
  const gate = await startTestGateway(t);
  await traffic(gate);
  const { value, contentType, text } = await scrape(gate);
  t.match(contentType, /^text\/plain; version=0\.0\.4/);
  const requests = (labels: Record<string, string>) => value('scopegate_requests_total', labels);
  const read = { rule: 'default/gate#0', method: 'GET' };
  t.equal(requests({ ...read, decision: 'allow', status: '200', entrance: 'proxy' }), 3);
  t.equal(requests({ ...read, decision: 'allow', status: '200', entrance: 'decisions' }), 1);
  t.equal(requests({ ...read, decision: 'deny', status: '401' }), 3);
  t.equal(requests({ ...read, decision: 'deny', status: '403' }), 1);
  t.equal(requests({ rule: 'default/gate#1', method: 'POST', decision: 'allow', status: '200' }), 1);
  t.equal(requests({ rule: 'none', method: 'DELETE', status: '404' }), 1);
  t.equal(requests({ status: '503' }), 1);
  t.equal(requests({}), 12);
  t.equal(value('scopegate_errors_total', { error: 'invalid_token' }), 2);
  t.equal(value('scopegate_errors_total', { error: 'no_token' }), 1);
  t.equal(value('scopegate_errors_total', { error: 'insufficient_scope', rule: 'default/gate#0' }), 1);
  t.equal(value('scopegate_errors_total', { error: 'malformed_target' }), 1);
  t.equal(value('scopegate_errors_total', { error: 'authorization_server_unavailable' }), 1);
  t.equal(value('scopegate_requests_in_flight'), 0);

  const lookups = (result: string) => value('scopegate_introspection_lookups_total', { result });
  t.same(
    ['hit', 'negative_hit', 'miss', 'coalesced', 'failed'].map((result) => [result, lookups(result)]),
    [
      ['hit', 4],
      ['negative_hit', 1],
      ['miss', 3],
      ['coalesced', 0],
      ['failed', 1],
    ],
  );
  t.equal(value('scopegate_introspection_failures_total'), 1);
  t.equal(value('scopegate_introspection_cache_entries', { kind: 'active' }), 2);
  t.equal(value('scopegate_introspection_cache_entries', { kind: 'inactive' }), 1);
  const bytes = value('scopegate_introspection_cache_bytes') ?? 0;
  t.ok(bytes > 608 && bytes < 4_000, `two answers take ${bytes} bytes`);
  t.equal(value('scopegate_breakers', { state: 'closed' }), 1);

  t.equal(value('scopegate_request_duration_seconds_count'), 12);
  t.equal(value('scopegate_request_duration_seconds_bucket', { le: '+Inf' }), 12);
  t.equal(value('scopegate_decision_duration_seconds_count', { introspection: 'hit' }), 5);
  t.equal(value('scopegate_introspection_duration_seconds_count', { result: 'miss' }), 3);
  t.equal(value('scopegate_upstream_duration_seconds_count'), 4);
  t.ok(value('scopegate_upstream_duration_seconds_sum') > 0);
  t.ok(value('scopegate_request_duration_seconds_sum') < 60, 'seconds, not milliseconds');

  const ofRule = (name: string) =>
    value(`scopegate_rule_duration_seconds_${name}`, { rule: 'default/gate#0' });
  t.equal(ofRule('count'), requests({ rule: 'default/gate#0' }));
  t.ok(ofRule('sum') > 0);
  t.equal(
    value('scopegate_rule_duration_seconds_count'),
    value('scopegate_request_duration_seconds_count'),
    'each request in one rule',
  );
  t.equal(value('scopegate_rules'), 3);
  t.equal(value('scopegate_rules_version'), 1);
  t.equal(value('scopegate_ready'), 1);
  t.ok(value('process_resident_memory_bytes') > 0);
  // Upstreams stand in the rules: their number is not the clients' to choose.
  const others = text.replace(/^scopegate_upstream_.*$/gm, '');
  t.notMatch(others, /good-read|gate\.example|\/headers|127\.0\.0\.1/, 'no token, host, path or address');
});

t.test('answers that are asked for again before they end are told', async (t) => {
  const clock = fakeClock();
  const cache = { ttl: '60s', refreshBefore: '10s' };
  const gate = await startTestGateway(t, { clock, settings: { introspection: { cache } } });
  const hit = async () => t.equal((await ask(gate, '/headers', { token: 'good-read' })).status, 200);
  const refreshes = async (result: string) =>
    (await scrape(gate)).value('scopegate_introspection_refreshes_total', { result });
  await hit();
  await hit();
  clock.advance(50_000);
  await hit();
  await until(async () => (await refreshes('active')) === 1);
  gate.endpoint.tokens.delete('good-read');
  clock.advance(59_000);
  await hit();
  await hit();
  await until(async () => (await refreshes('inactive')) === 1);
  t.equal((await ask(gate, '/headers', { token: 'good-read' })).status, 401, 'a revoked token ends');
  t.equal(gate.endpoint.asked.length, 3);
  t.same(await Promise.all(['failed', 'shared', 'skipped'].map(refreshes)), [0, 0, 0]);
});

t.test('waiting, coalesced, open breakers and evictions are told', async (t) => {
  const gate = await startTestGateway(t, {
    settings: { introspection: { timeout: '50s', cache: { maxEntries: 1 }, breaker: { failures: 2 } } },
  });
  let open = (): void => {};
  gate.endpoint.gate = new Promise((resolve) => {
    open = resolve;
  });
  const waiting = Array.from({ length: 5 }, () => ask(gate, '/headers', { token: 'good-read' }));
  await until(async () => (await scrape(gate)).value('scopegate_requests_in_flight') === 5);
  const during = await scrape(gate);
  t.equal(during.value('scopegate_introspection_calls', { state: 'running' }), 1);
  open();
  await Promise.all(waiting);
  await ask(gate, '/headers', { token: 'good-admin' });
  const after = await scrape(gate);
  t.equal(after.value('scopegate_introspection_lookups_total', { result: 'coalesced' }), 4);
  t.equal(after.value('scopegate_introspection_cache_evictions_total'), 1);
  t.equal(after.value('scopegate_requests_in_flight'), 0);
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  for (const token of ['a', 'b', 'c']) await ask(gate, '/headers', { token });
  const broken = await scrape(gate);
  t.equal(broken.value('scopegate_breakers', { state: 'open' }), 1);
  t.equal(broken.value('scopegate_breakers', { state: 'closed' }), 0);
});

t.test(
  'an upstream that is gone, and a client that leaves, are counted and leave nothing in flight',
  async (t) => {
    const gate = await startTestGateway(t, { respond: () => {} });
    const leaving = new AbortController();
    const gone = ask(gate, '/headers', { token: 'good-read', signal: leaving.signal });
    await until(async () => gate.upstream.received.length > 0);
    leaving.abort();
    await t.rejects(gone);
    await until(async () => (await scrape(gate)).value('scopegate_requests_in_flight') === 0);
    t.equal((await scrape(gate)).value('scopegate_requests_total', { status: '0', decision: 'allow' }), 1);
    await gate.upstream.close();
    t.equal((await ask(gate, '/headers', { token: 'good-read' })).status, 502);
    const { value } = await scrape(gate);
    t.equal(value('scopegate_errors_total', { error: 'upstream_unreachable', rule: 'default/gate#0' }), 1);
  },
);

t.test('nobody can make series: not with methods, hosts, paths, tokens or statuses', async (t) => {
  const gate = await startTestGateway(t);
  await traffic(gate);
  const count = async () =>
    (await scrape(gate)).samples.filter(({ name }) => name.startsWith('scopegate_')).length;
  await ask(gate, '/0', { host: 'a.example' });
  await sendRaw(gate.port, 'PURGE / HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n');
  const before = await count();
  for (let i = 0; i < 20; i++) {
    await ask(gate, `/${i}`, { host: `a${i}.example` });
    await ask(gate, `/${i}`, { token: `t${i}` });
    for (const method of ['PROPFIND', 'SEARCH', 'LINK']) {
      await sendRaw(gate.port, `${method} /${i} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n`);
    }
  }
  t.equal(await count(), before);
});

const ENTRY: AuditEntry = {
  entrance: 'proxy',
  requestId: 'r',
  traceId: undefined,
  peer: '127.0.0.1',
  method: 'GET',
  host: 'a',
  path: '/',
  rule: undefined,
  decision: 'allow',
  error: undefined,
  reason: undefined,
  subject: '',
  clientId: undefined,
  introspection: undefined,
  introspectionMs: undefined,
  decisionMs: 0.05,
  status: 200,
  upstreamStatus: 200,
  upstreamMs: 1,
  cause: undefined,
  revocation: undefined,
  ms: 2,
};

t.test('rules that are gone take their series with them', async (t) => {
  let rules = { version: 1, rules: [{ id: 'n/a#0' }, { id: 'n/b#0' }] };
  const sources: MetricSources = {
    rules: () => rules,
    ready: () => true,
    cache: () => ({ active: 0, inactive: 0, bytes: 0, evictions: 0 }),
    refreshes: { active: 0, inactive: 0, failed: 0, shared: 0, skipped: 0 },
    servers: () => [],
    inFlight: () => 0,
    certificates: () => [],
    admittedShare: () => 1,
    pools: () => [],
    bufferedBytes: () => 0,
    droppedLines: () => 0,
  };
  const metrics = createMetrics(sources);
  const series = async () =>
    readExposition(await metrics.text())
      .samples.filter(({ name }) => name === 'scopegate_requests_total')
      .map(({ labels, value }) => [labels.rule, value]);
  const record = (id: string) => metrics.record({ ...ENTRY, rule: id });
  for (const id of ['n/a#0', 'n/b#0', 'n/b#0']) record(id);
  t.same(await series(), [
    ['n/a#0', 1],
    ['n/b#0', 2],
  ]);
  rules = { version: 2, rules: [{ id: 'n/b#0' }, { id: 'n/c#0' }] };
  metrics.reloaded(true, 1_600_000_000);
  for (const id of ['n/a#0', 'n/a#0', 'n/c#0']) record(id);
  t.same(
    new Map((await series()) as [string, number][]),
    new Map([
      ['n/b#0', 2],
      ['retired', 2],
      ['n/c#0', 1],
    ]),
  );
  metrics.reloaded(false, 1_700_000_000);
  const { samples } = readExposition(await metrics.text());
  const value = (name: string) => samples.find((sample) => sample.name === name)?.value;
  t.equal(value('scopegate_rule_reload_successful'), 0);
  t.equal(value('scopegate_rule_reload_timestamp_seconds'), 1_700_000_000);
});

t.test('each observation is in one bucket, and buckets add up', async (t) => {
  const metrics = createMetrics({
    rules: () => ({ version: 1, rules: [] }),
    ready: () => false,
    cache: () => ({ active: 0, inactive: 0, bytes: 0, evictions: 0 }),
    refreshes: { active: 0, inactive: 0, failed: 0, shared: 0, skipped: 0 },
    servers: () => [],
    inFlight: () => 0,
    certificates: () => [],
    admittedShare: () => 1,
    pools: () => [],
    bufferedBytes: () => 0,
    droppedLines: () => 7,
  });
  for (const ms of [0, 1, 1.0001, 180_000, 180_001, 1e9]) metrics.record({ ...ENTRY, ms });
  const { samples } = readExposition(await metrics.text());
  const bucket = (le: string) =>
    samples.find((each) => each.name === 'scopegate_request_duration_seconds_bucket' && each.labels.le === le)
      ?.value;
  t.equal(bucket('0.001'), 2);
  t.equal(bucket('0.0025'), 3);
  t.equal(bucket('180'), 4);
  t.equal(bucket('+Inf'), 6);
  t.equal(samples.find(({ name }) => name === 'scopegate_ready')?.value, 0);
  t.equal(samples.find(({ name }) => name === 'scopegate_log_lines_dropped_total')?.value, 7);
});
