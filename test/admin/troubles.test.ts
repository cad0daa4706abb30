import { writeFileSync } from 'node:fs';
import t from 'tap';
import { request } from 'undici';
import type { StatusJson } from '../../src/admin/overview.js';
import { type TroubleSources, Troubles } from '../../src/admin/troubles.js';
import { startGateway } from '../../src/app/gateway.js';
import { SharedCacheFailures } from '../../src/app/shared-cache-failures.js';
import { loadOptions } from '../../src/commands/load.js';
import { loadRules } from '../../src/rules/load.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { startTestGateway } from '../gateway.js';

/** The sources of a gateway without trouble. */
const quiet: TroubleSources = {
  status: () => 'ok',
  table: () => ({ version: 1, rules: [], find: () => undefined }),
  failedReload: () => undefined,
  certificates: () => [],
  files: () => [],
  servers: () => [],
  serverFailures: () => new Map(),
  pools: () => [],
  failed: () => 0,
  shed: () => 0,
  sharedCache: () => undefined,
  droppedLines: () => 0,
  counts: () => new Map(),
};

/** A gateway without trouble, but for what a test says. */
function watching(more: Partial<TroubleSources>) {
  const clock = fakeClock();
  return { clock, troubles: new Troubles({ ...quiet, ...more }, clock) };
}

const pool = { origin: 'http://a.example:80', open: 2, busy: 2, long: 0 };

t.test('a gateway without trouble has none', (t) => {
  t.same(watching({}).troubles.list(), []);
  t.end();
});

t.test('a server whose breaker is open is in trouble, with the cause; its query is not shown', (t) => {
  const { clock, troubles } = watching({
    servers: () => [{ url: 'http://as.example/i?key=hunter2', breaker: 'open', running: 0, waiting: 0 }],
    serverFailures: () =>
      new Map([['http://as.example/i', { cause: 'ECONNREFUSED', at: fakeClock().wall() }]]),
  });
  clock.advance(600_000);
  const [trouble, ...more] = troubles.list();
  t.same(more, []);
  t.match(trouble, {
    kind: 'authorization-server',
    severity: 'error',
    subject: 'http://as.example/i',
    message: /circuit breaker of http:\/\/as\.example\/i is open.* 503/,
    details: ['ECONNREFUSED'],
    since: new Date((fakeClock().wall() + 600) * 1_000).toISOString(),
  });
  t.notMatch(JSON.stringify(trouble), /hunter2/);
  t.end();
});

t.test('a call that failed is a warning for a minute', (t) => {
  const { clock, troubles } = watching({
    servers: () => [{ url: 'http://as.example/i', breaker: 'closed', running: 0, waiting: 0 }],
    serverFailures: () => new Map([['http://as.example/i', { cause: 'timeout', at: fakeClock().wall() }]]),
  });
  t.match(troubles.list(), [{ severity: 'warning', message: /failed in the last minute/ }]);
  clock.advance(60_000);
  t.same(troubles.list(), []);
  t.end();
});

t.test('requests that a pool refuses are a trouble until a minute later, and are counted', (t) => {
  let turnedAway = 0;
  let waiting = 0;
  const { clock, troubles } = watching({ pools: () => [{ ...pool, waiting, turnedAway }] });
  t.same(troubles.list(), []);
  waiting = 3;
  t.match(troubles.list(), [{ kind: 'pool', severity: 'warning', details: ['waiting: 3 requests'] }]);
  waiting = 0;
  turnedAway = 1;
  troubles.sample();
  clock.advance(50_000);
  turnedAway = 5;
  t.match(troubles.list(), [
    { kind: 'pool', severity: 'error', subject: pool.origin, details: ['refused: 5 requests'] },
  ]);
  const since = new Date(fakeClock().wall() * 1000).toISOString();
  t.equal(troubles.list()[0]?.since, since, 'it began with the first');
  clock.advance(60_000);
  t.same(troubles.list(), []);
  turnedAway = 6;
  t.match(troubles.list(), [{ details: ['refused: 1 request'] }], 'a new trouble counts anew');
  t.end();
});

t.test('certificates that expire within a week, have expired or were not renewed', (t) => {
  const now = fakeClock().wall();
  const one = (expiresAt: number, failure?: { cause: string; at: number }) =>
    watching({ certificates: () => [{ listener: 'proxy', expiresAt, failure }] }).troubles.list();
  t.same(one(now + 8 * 86_400), []);
  t.match(one(now + 6 * 86_400), [
    { kind: 'certificate', severity: 'warning', message: /expires within 6 days/, details: [/^2026-/] },
  ]);
  t.match(one(now), [{ severity: 'error', message: /has expired/ }]);
  t.match(one(now + 8 * 86_400, { cause: 'not its key', at: now }), [
    { severity: 'warning', message: /could not be renewed/, details: ['not its key'] },
  ]);
  t.end();
});

t.test('one slow command of the shared cache is no outage, and is over when others have succeeded', (t) => {
  const clock = fakeClock();
  const log = { debug() {}, info() {}, warn() {} };
  const failures = new SharedCacheFailures({ sharedCacheFailed() {} }, clock, log);
  const troubles = new Troubles({ ...quiet, sharedCache: () => failures.state() }, clock);
  const began = clock.wall();
  const at = (seconds: number) => new Date((began + seconds) * 1_000).toISOString();
  failures.succeeded();
  t.same(troubles.list(), []);
  failures.failed('timeout');
  t.match(troubles.list(), [{ kind: 'shared-cache', state: 'failing', message: /fails/, failures: 1 }]);
  clock.advance(2_000);
  failures.succeeded();
  t.match(troubles.list(), [
    {
      ...{ kind: 'shared-cache', severity: 'warning', state: 'degraded', failures: 1 },
      ...{ message: /degraded/, since: at(0), lastFailure: at(0) },
      details: ['failures: 1', 'last failure: timeout'],
    },
  ]);
  clock.advance(2_000);
  failures.failed('ECONNRESET');
  t.match(troubles.list(), [{ state: 'failing', failures: 2, since: at(0), lastFailure: at(4) }]);
  failures.succeeded();
  clock.advance(9_999);
  t.match(troubles.list(), [{ state: 'degraded' }]);
  clock.advance(1);
  t.same(troubles.list(), []);
  failures.succeeded();
  failures.failed('timeout');
  t.match(troubles.list(), [{ state: 'failing', failures: 1, since: at(14) }], 'counted anew');
  clock.advance(59_999);
  t.match(troubles.list(), [{ state: 'failing' }], 'nobody has tried since');
  clock.advance(1);
  t.same(troubles.list(), []);
  t.end();
});

t.test('overload, a shared cache that fails, draining; errors come first', (t) => {
  const now = fakeClock().wall();
  const { troubles } = watching({
    status: () => 'draining',
    shed: () => 7,
    sharedCache: () => ({ state: 'failing', failures: 1, cause: 'timeout', since: now, last: now }),
    droppedLines: () => 9,
  });
  t.same(
    troubles.list().map(({ kind, severity }) => [kind, severity]),
    [
      ['not-serving', 'error'],
      ['overload', 'error'],
      ['shared-cache', 'warning'],
      ['log', 'warning'],
    ],
  );
  t.end();
});

async function status(adminUrl: string): Promise<StatusJson> {
  const answer = await request(`${adminUrl}/status`);
  return (await answer.body.json()) as StatusJson;
}

t.test('an authorization server and an upstream that fail show in /status, and pass', async (t) => {
  const clock = fakeClock();
  const gate = await startTestGateway(t, { clock });
  t.same((await status(gate.adminUrl)).troubles, []);
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  for (let i = 0; i < 5; i++) await ask(gate, '/headers', { token: `fresh-${i}` });
  const down = await status(gate.adminUrl);
  t.match(down.troubles, [
    { kind: 'authorization-server', severity: 'error', subject: gate.endpoint.url, message: /is open/ },
  ]);
  t.notMatch(JSON.stringify(down), /fresh-/, 'no token');
  await ask(gate, '/headers', { token: 'fresh-6' });
  const causes = gate.log.filter(({ audit }) => audit !== undefined).map(({ cause }) => cause);
  t.same([causes.at(0), causes.at(-1)], ['status_500', 'breaker_open'], 'the audit line says why');
  gate.endpoint.fault = undefined;
  clock.advance(60_000);
  await ask(gate, '/headers', { token: 'good-read' });
  t.same((await status(gate.adminUrl)).troubles, []);
  const endpoint = gate.endpoint.url;
  t.match(
    gate.log.filter(({ msg }) => /circuit breaker/.test(String(msg))),
    [
      { level: 40, state: 'open', endpoint, msg: /^the circuit breaker opened/ },
      { level: 30, state: 'closed', endpoint, lastedMs: 60_000, msg: /^the circuit breaker closed/ },
    ],
  );

  gate.upstream.server.closeAllConnections();
  await gate.upstream.close();
  await ask(gate, '/headers', { token: 'good-read' });
  const { troubles, recent } = await status(gate.adminUrl);
  t.match(troubles, [
    {
      kind: 'upstream',
      severity: 'error',
      subject: gate.upstream.url,
      details: ['upstream_unreachable: 1 request'],
    },
  ]);
  t.match(recent.at(-1), {
    error: 'upstream_unreachable',
    requestId: /./,
    peer: '127.0.0.1',
    decisionMs: Number,
  });
});

t.test('a reload that failed shows its findings, until one succeeds', async (t) => {
  const gate = await startTestGateway(t);
  const [file = ''] = gate.settings.rules;
  const gateway = await startGateway(gate.settings, gate.table, {
    destination: { write: () => {} },
    load: async (version) => loadRules(gate.settings.rules, loadOptions(gate.settings, version)),
  });
  t.teardown(() => gateway.close());
  writeFileSync(file, 'apiVersion: gateway.kyma-project.io/v1beta1\nkind: APIRule\nspec: 7\n');
  await gateway.reload();
  t.match((await status(gateway.adminUrl)).troubles, [
    {
      kind: 'reload',
      severity: 'error',
      message: /last reload .* failed/,
      details: [/rules\.yaml:\d+:\d+ error [a-z-]+ ./],
      since: /Z$/,
    },
  ]);
  writeFileSync(file, RULES);
  await gateway.reload();
  t.same((await status(gateway.adminUrl)).troubles, []);
});

const RULES = JSON.stringify({
  apiVersion: 'gateway.kyma-project.io/v1beta1',
  kind: 'APIRule',
  metadata: { name: 'open', namespace: 'default' },
  spec: {
    gateway: 'a/b',
    host: 'gate.example',
    service: { name: 'upstream', port: 80 },
    rules: [{ path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] }],
  },
});
