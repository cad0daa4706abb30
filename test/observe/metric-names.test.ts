import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { scrape, traffic } from './metrics-setup.js';

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
      ScopegateGone: ['up{job="j"} 1x5 0x25', 'scopegate_ready{job="j"} 1x5 _x25'],
      ScopegateNotReady: ['scopegate_ready 0x30'],
      ScopegateSharedCacheFailing: ['scopegate_shared_cache_failures_total 0+3x30'],
      ScopegateClientShareRefused: ['scopegate_client_share_refused_total{share="inFlight"} 0+600x30'],
      ScopegateBadTokensFlood: ['scopegate_introspection_lookups_total{result="limited"} 0+600x30'],
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
    // One failure, or an instance of something else that is down: nobody is called for it, at any minute.
    const quiet = {
      interval: '1m',
      input_series: [
        ...[
          'scopegate_errors_total{error="authorization_server_unavailable",instance="i"}',
          'scopegate_introspection_readiness_checks_total{result="not_ready",instance="i"}',
          'scopegate_requests_shed_total{cause="in_flight",instance="i"}',
          'scopegate_shared_cache_failures_total{instance="i"}',
        ].map((series) => ({ series, values: '0x9 1x20' })),
        { series: 'up{job="other",instance="k"}', values: '0x30' },
      ],
      promql_expr_test: [
        {
          expr: 'count_over_time(ALERTS{alertstate="firing"}[28m])',
          eval_time: '28m',
          exp_samples: [],
        },
      ],
    };
    const unit = join(folder, 'unit.yaml');
    writeFileSync(
      unit,
      JSON.stringify({ rule_files: [alerts], evaluation_interval: '1m', tests: [...tests, quiet] }),
    );
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
