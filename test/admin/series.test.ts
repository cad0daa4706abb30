import t from 'tap';
import { request } from 'undici';
import { Series } from '../../src/admin/series.js';
import type { AuditEntry } from '../../src/observe/audit.js';
import { createMetrics } from '../../src/observe/metrics.js';
import { quantile } from '../../src/observe/totals.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { startTestGateway } from '../gateway.js';

const entry = (more: Partial<AuditEntry> = {}) =>
  ({
    entrance: 'proxy',
    method: 'GET',
    rule: undefined,
    decision: 'allow',
    status: 200,
    decisionMs: 0.05,
    ms: 1,
    ...more,
  }) as AuditEntry;

/** A series over metrics of its own, and the clock that moves it. */
function started() {
  const clock = fakeClock();
  const metrics = createMetrics();
  const series = new Series(metrics.totals, clock);
  return { clock, metrics, series };
}

t.test('each second holds what ended in it, by outcome', (t) => {
  const { clock, metrics, series } = started();
  t.same(series.read(1).outcomes.allowed, [], 'nothing is known before a second is over');
  for (let i = 0; i < 3; i++) metrics.record(entry());
  metrics.record(entry({ decision: 'deny', status: 403, error: 'insufficient_scope' }));
  metrics.record(entry({ status: 502, error: 'upstream_unreachable' }));
  metrics.record(entry({ wouldDeny: 'no_token' }));
  metrics.shed('proxy', 'GET', 'in_flight');
  clock.advance(1_000);
  series.sample();
  metrics.record(entry({ status: 0 }));
  clock.advance(999);
  series.sample();
  t.same(series.read(1).outcomes.allowed, [3], 'a second that is not over is not shown');
  clock.advance(1);
  const { outcomes, end, step, span } = series.read(1);
  t.same(outcomes, { allowed: [3, 1], wouldDeny: [1, 0], denied: [1, 0], failed: [2, 0] });
  t.same({ step, span }, { step: 1, span: 900 });
  t.equal(end, new Date((fakeClock().wall() + 2) * 1000).toISOString());
  t.end();
});

t.test('fifteen minutes are kept, and no more', (t) => {
  const { clock, metrics, series } = started();
  for (let second = 0; second < 2_000; second++) {
    if (second % 2 === 0) metrics.record(entry());
    clock.advance(1_000);
    series.sample();
  }
  const fine = series.read(1).outcomes.allowed;
  t.equal(fine.length, 900);
  t.same(fine.slice(0, 4), [1, 0, 1, 0]);
  const coarse = series.read(60).outcomes.allowed;
  // 2000 s are 33 whole minutes; the first of the last fifteen has left the buffer in part.
  t.same(coarse, new Array(14).fill(30));
  t.end();
});

t.test('a step that has begun does not change the steps before it', (t) => {
  const { clock, metrics, series } = started();
  const tick = (requests: number) => {
    for (let i = 0; i < requests; i++) metrics.record(entry());
    clock.advance(1_000);
    series.sample();
  };
  for (const requests of [1, 2, 3, 4, 5, 100, 100]) tick(requests);
  t.same(series.read(5).outcomes.allowed, [15]);
  const end = series.read(5).end;
  tick(100);
  t.same(series.read(5).outcomes.allowed, [15]);
  t.equal(series.read(5).end, end, 'the time of the last step stays as well');
  t.end();
});

t.test('seconds in which the event loop stood still are empty, even many of them', (t) => {
  const { clock, metrics, series } = started();
  metrics.record(entry());
  clock.advance(1_000);
  series.sample();
  clock.advance(3_000);
  metrics.record(entry());
  t.same(series.read(1).outcomes.allowed, [1, 0, 0, 1]);
  clock.advance(5_000_000);
  const { allowed } = series.read(1).outcomes;
  t.equal(allowed.length, 900);
  t.ok(allowed.every((count) => count === 0));
  t.end();
});

t.test('percentiles are estimated as Prometheus does', (t) => {
  const bounds = [1, 2, 4];
  t.equal(quantile(0.5, { bounds, counts: [0, 0, 0, 0] }), undefined);
  t.equal(quantile(0.5, { bounds, counts: [10, 0, 0, 0] }), 0.5);
  t.equal(quantile(0.95, { bounds, counts: [50, 40, 10, 0] }), 3);
  t.equal(
    quantile(0.95, { bounds, counts: [0, 0, 0, 10] }),
    4,
    'above the highest bound there is no estimate',
  );
  t.end();
});

t.test('durations and the hit rate are those of the step', (t) => {
  const { clock, metrics, series } = started();
  const asked = { introspection: 'miss', introspectionMs: 8, decisionMs: 9, upstreamMs: 20 } as const;
  for (let i = 0; i < 10; i++) metrics.record(entry(asked));
  clock.advance(1_000);
  series.sample();
  for (let i = 0; i < 3; i++) metrics.record(entry({ introspection: 'hit' }));
  metrics.record(entry({ introspection: 'limited' }));
  metrics.record(entry(asked));
  clock.advance(1_000);
  series.sample();
  clock.advance(1_000);
  const { decision, introspection, upstream, hitRate } = series.read(1);
  t.same(decision.p50, [7.5, 0.063, null], 'between 5 and 10 ms, then below 0.1 ms');
  t.same(introspection.p95, [9.75, 9.75, null]);
  t.same(upstream.p50, [17.5, 17.5, null]);
  t.same(hitRate, [0, 0.75, null], 'a question that was refused is none');
  t.end();
});

t.test('GET /series has the last fifteen minutes of a gateway', async (t) => {
  const clock = fakeClock();
  const gate = await startTestGateway(t, { clock });
  const get = async (query: string) => {
    const { statusCode, body } = await request(`${gate.adminUrl}/series${query}`);
    return { status: statusCode, text: await body.text() };
  };
  await ask(gate, '/headers', { token: 'good-read' });
  await ask(gate, '/headers', { token: 'good-read' });
  await ask(gate, '/headers');
  clock.advance(5_000);
  const { status, text } = await get('');
  t.equal(status, 200);
  t.match(JSON.parse(text), {
    step: 5,
    span: 900,
    outcomes: { allowed: [2], denied: [1], failed: [0], wouldDeny: [0] },
    hitRate: [0.5],
  });
  t.notMatch(text, /good-read|headers/, 'neither a token nor a path');
  t.match(JSON.parse((await get('?step=1')).text).outcomes.allowed, [0, 0, 0, 0, 2]);
  for (const query of ['?step=0', '?step=7', '?step=-1', '?step=1.5', '?step=', '?step=1&step=5', '?step=x'])
    t.equal((await get(query)).status, 400, query);
});
