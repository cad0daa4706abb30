import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { parse } from 'yaml';
import type { AuditEntry } from '../../src/observe/audit.js';
import type { MetricSources } from '../../src/observe/metric-sources.js';
import { createMetrics } from '../../src/observe/metrics.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';
import { readExposition } from './exposition.js';

async function scrape(gate: TestGateway) {
  const answer = await request(`${gate.adminUrl}/metrics`);
  const text = await answer.body.text();
  const { samples, types } = readExposition(text);
  /** The sum of the samples of a name that have these labels. */
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples
      .filter((sample) => sample.name === name)
      .filter((sample) => Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted))
      .reduce((total, sample) => total + sample.value, 0);
  return { text, samples, types, value, contentType: answer.headers['content-type'] };
}

/** Every kind of request there is. */
async function traffic(gate: TestGateway): Promise<void> {
  for (let i = 0; i < 3; i++) await ask(gate, '/headers', { token: 'good-read' });
  for (let i = 0; i < 2; i++) await ask(gate, '/headers', { token: 'unknown' });
  await ask(gate, '/headers');
  await ask(gate, '/headers', { token: 'good-write' });
  await ask(gate, '/post', { method: 'POST', token: 'good-write', body: 'x' });
  await ask(gate, '/nowhere', { method: 'DELETE' });
  await ask(gate, '/a%2fb', { token: 'good-read' });
  await sendRaw(
    gate.adminPort,
    'GET /decisions/headers HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n',
  );
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  await ask(gate, '/headers', { token: 'fresh' });
  gate.endpoint.fault = undefined;
}

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

/** The families a text names. */
function named(text: string): Set<string> {
  const names = text.match(/\b(?:scopegate|process|nodejs)_[a-z0-9_]+/g) ?? [];
  return new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
}

t.test(
  'every metric that the alerts and the dashboard name is there, and every one of ours is on the dashboard',
  async (t) => {
    const gate = await startTestGateway(t);
    await traffic(gate);
    const { types } = await scrape(gate);
    const dashboard = readFileSync(join(root, 'config/grafana-dashboard.json'), 'utf8');
    const alerts = readFileSync(join(root, 'config/prometheus-alerts.yaml'), 'utf8');
    for (const text of [dashboard, alerts]) for (const name of named(text)) t.ok(types.has(name), name);
    const shown = named(dashboard + alerts);
    for (const name of types.keys()) {
      if (name.startsWith('scopegate_') && name !== 'scopegate_rule_reload_timestamp_seconds')
        t.ok(shown.has(name), name);
    }
    const { panels } = JSON.parse(dashboard) as {
      panels: { id: number; gridPos: { x: number; w: number } }[];
    };
    t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'panels have ids of their own');
    for (const { gridPos } of panels) t.ok(gridPos.x + gridPos.w <= 24);
  },
);

t.test(
  'Prometheus itself takes the metrics, the alerts and the queries of the dashboard',
  async (t: Test) => {
    if (!available(t, 'promtool')) return;
    const promtool = (parameters: string[], input?: string) => {
      const { status, stdout, stderr } = spawnSync('promtool', parameters, {
        encoding: 'utf8',
        ...(input === undefined ? {} : { input }),
      });
      return { status, output: stdout + stderr };
    };
    const gate = await startTestGateway(t);
    await traffic(gate);
    const { text } = await scrape(gate);
    const { output } = promtool(['check', 'metrics'], text);
    // It finds fault with the names of some of Node's own.
    t.same(
      output.split('\n').filter((line) => line !== '' && !/^nodejs_|^process_/.test(line)),
      [],
    );

    const alerts = join(root, 'config/prometheus-alerts.yaml');
    const checked = promtool(['check', 'rules', alerts]);
    t.equal(checked.status, 0, checked.output);

    const { panels } = JSON.parse(readFileSync(join(root, 'config/grafana-dashboard.json'), 'utf8')) as {
      panels: { title: string; targets?: { expr: string }[] }[];
    };
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const folder = t.testdir({});
    const file = join(folder, 'queries.yaml');
    const rules = queries.map((expr, i) => ({
      record: `q${i}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
    }));
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
    const parsed = promtool(['check', 'rules', file]);
    t.equal(parsed.status, 0, parsed.output);

    const { groups } = parse(readFileSync(alerts, 'utf8')) as { groups: { rules: { alert: string }[] }[] };
    const series = {
      ScopegateAuthorizationServerFailing: [
        'scopegate_errors_total{error="authorization_server_unavailable",rule="a"} 0+10x30',
      ],
      ScopegateBreakerOpen: [
        // Through an outage it is open and half-open in turn.
        'scopegate_breakers{state="open"} 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0',
        'scopegate_breakers{state="half-open"} 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1',
      ],
      ScopegateRulesNotReloaded: ['scopegate_rule_reload_successful 0+0x30'],
      ScopegateCertificateNotReloaded: ['scopegate_tls_reload_successful 0+0x30'],
      ScopegateCertificateEnds: ['scopegate_tls_expiry_timestamp_seconds{listener="proxy"} 600000+0x30'],
      ScopegateUpstreamErrors: [
        'scopegate_errors_total{error="upstream_timeout",rule="a"} 0+10x30',
        'scopegate_requests_total{rule="a",status="504"} 0+100x30',
      ],
      ScopegateUpstreamCrowded: ['scopegate_upstream_turned_away_total{upstream="http://a"} 0+1x30'],
      ScopegateInternalErrors: ['scopegate_internal_errors_total 0+1x30'],
      ScopegateDenialsSurge: [
        'scopegate_requests_total{decision="deny"} 0+300x30',
        'scopegate_requests_total{decision="allow"} 0+100x30',
      ],
      ScopegateDecisionSlow: [
        'scopegate_decision_duration_seconds_bucket{le="1"} 0+1x30',
        'scopegate_decision_duration_seconds_bucket{le="2.5"} 0+100x30',
        'scopegate_decision_duration_seconds_bucket{le="+Inf"} 0+100x30',
      ],
      ScopegateAuthorizationServerNotReady: [
        'scopegate_introspection_readiness_checks_total{result="not_ready"} 0+60x30',
      ],
      ScopegateIntrospectionQueue: ['scopegate_introspection_calls{state="waiting"} 200+0x30'],
      ScopegateCacheThrashing: [
        'scopegate_introspection_cache_evictions_total 0+600x30',
        'scopegate_introspection_lookups_total{result="hit"} 0+600x30',
      ],
      ScopegateOverloaded: ['scopegate_requests_shed_total{cause="event_loop"} 0+600x30'],
      ScopegateLogLinesDropped: ['scopegate_log_lines_dropped_total 0+10x30'],
    } as Record<string, string[]>;
    t.same(
      groups[0]?.rules.map(({ alert }) => alert).sort(),
      Object.keys(series).sort(),
      'each alert has a case',
    );
    const tests = Object.entries(series).map(([alertname, values]) => ({
      interval: '1m',
      input_series: values.map((value) => {
        const [name = '', ...numbers] = value.split(' ');
        return {
          series: name.includes('{') ? name.replace('}', ',instance="i"}') : `${name}{instance="i"}`,
          values: numbers.join(' '),
        };
      }),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alertname}",alertstate="firing"})`,
          eval_time: '28m',
          exp_samples: [{ labels: '{}', value: 1 }],
        },
      ],
    }));
    const unit = join(folder, 'unit.yaml');
    writeFileSync(unit, JSON.stringify({ rule_files: [alerts], evaluation_interval: '1m', tests }));
    const fired = promtool(['test', 'rules', unit]);
    t.equal(fired.status, 0, fired.output);
  },
);

/** What whoever watches a gateway asks, and where the answer stands. */
const ASKED: readonly (readonly [name: string, type: string, ...labels: string[]])[] = [
  ['scopegate_requests_total', 'counter', 'rule', 'method', 'decision', 'status'],
  ['scopegate_decision_duration_seconds', 'histogram', 'introspection'],
  ['scopegate_introspection_duration_seconds', 'histogram', 'result'],
  ['scopegate_upstream_duration_seconds', 'histogram'],
  ['scopegate_introspection_lookups_total', 'counter', 'result'],
  ['scopegate_introspection_cache_evictions_total', 'counter'],
  ['scopegate_breakers', 'gauge', 'state'],
  ['scopegate_requests_in_flight', 'gauge'],
  ['scopegate_requests_shed_total', 'counter', 'cause'],
  ['scopegate_rules_version', 'gauge'],
  ['scopegate_rule_reloads_total', 'counter', 'result'],
  ['process_cpu_seconds_total', 'counter'],
  ['process_resident_memory_bytes', 'gauge'],
  ['nodejs_eventloop_lag_p99_seconds', 'gauge'],
];

t.test('what is asked of a gateway is told, under these names and labels', async (t) => {
  const gate = await startTestGateway(t);
  await traffic(gate);
  const { samples, types } = await scrape(gate);
  for (const [name, type, ...labels] of ASKED) {
    t.equal(types.get(name), type, name);
    const sample = samples.find((each) => each.name === name || each.name === `${name}_bucket`);
    for (const label of labels) t.ok(label in (sample?.labels ?? {}), `${name} by ${label}`);
  }
});

t.test('every metric of ours is in the documentation, and no other', async (t) => {
  const gate = await startTestGateway(t);
  const { types } = await scrape(gate);
  const ours = [...types.keys()].filter((name) => name.startsWith('scopegate_')).sort();
  t.same(
    [...named(readFileSync(join(root, 'docs/admin.md'), 'utf8'))]
      .filter((name) => !name.endsWith('_'))
      .sort(),
    ours,
  );
});

t.test('a gateway with rules of a hostile name writes well-formed text', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/.*', ['GET'], 'read')], 'a-b.c'),
  });
  await ask(gate, '/x');
  t.equal((await scrape(gate)).value('scopegate_requests_total', { rule: 'default/a-b.c#0' }), 1);
});
