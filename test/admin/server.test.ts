import { join } from 'node:path';
import t from 'tap';
import { startGateway } from '../../src/app/gateway.js';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { call } from './server-setup.js';

t.test('nothing of the admin port is on the proxy port', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('elsewhere.example', [rule('/.*', ['GET'], 'read')]),
  });
  const paths = [
    '/',
    '/metrics',
    '/rules',
    '/status',
    '/series',
    '/decisions',
    '/health/alive',
    '/health/ready',
    '/version',
  ];
  for (const path of paths) {
    t.equal((await call(gate, path)).status === 404, false, `${path} is on the admin port`);
    t.match(await ask(gate, path, { token: 'good-read' }), { status: 404, reason: /no rule/ }, path);
  }
  t.equal((await ask(gate, '/cache/purge', { method: 'POST', body: '{"all":true}' })).status, 404);
});

t.test('/rules shows the table in force', async (t) => {
  const gate = await startTestGateway(t, { settings: { forward: { timeout: '7s' } } });
  const { status, json } = await call(gate, '/rules');
  t.equal(status, 200);
  t.match(json(), {
    version: 1,
    proof: { overlap: 'specific', specific: ['default/gate#2'], unproved: [] },
    rules: [
      {
        id: 'default/gate#0',
        source: /rules\.yaml:1:\d+$/,
        hosts: ['gate.example'],
        methods: ['GET'],
        path: '/.*',
        strategies: [{ handler: 'oauth2_introspection', scopes: ['read'] }],
        upstream: gate.upstream.url,
        timeoutMs: 7000,
        allows: { encodedSlash: false },
      },
      { id: 'default/gate#1', methods: ['POST'], path: '/post' },
      { id: 'default/gate#2' },
    ],
  });
});

t.test('/status tells counters and the last decisions, denied ones the longest', async (t) => {
  const gate = await startTestGateway(t);
  await ask(gate, '/headers', { token: 'good-write' });
  for (let i = 0; i < 210; i++) await ask(gate, `/a/${i}`, { token: 'good-read' });
  const first = (await call(gate, '/status')).json() as unknown as {
    recent: { seq: number; path: string }[];
  };
  t.match(first, {
    ready: 'ok',
    started: /^\d{4}-.*Z$/,
    rules: { version: 1, count: 3 },
    inFlight: 0,
    counts: { 'default/gate#0': { allowed: 210, denied: 1 } },
    cache: { active: 2, inactive: 0, evictions: 0, maxEntries: 100_000 },
    servers: [{ url: gate.endpoint.url, breaker: 'closed', running: 0, waiting: 0 }],
  });
  t.equal(first.recent.length, 201);
  t.match(first.recent[0], {
    seq: 1,
    decision: 'deny',
    method: 'GET',
    host: 'gate.example',
    path: '/headers',
    rule: 'default/gate#0',
    status: 403,
    error: 'insufficient_scope',
    reason: 'the token lacks a required scope',
    clientId: 'c-write',
  });
  t.equal(first.recent[1]?.path, '/a/10', 'the oldest allowed ones are forgotten');
  const next = (await call(gate, '/status?after=210')).json() as unknown as { recent: { seq: number }[] };
  t.same(
    next.recent.map(({ seq }) => seq),
    [211],
  );
  t.equal((await call(gate, '/status?after=-1')).status, 400);
  t.notMatch((await call(gate, '/status')).text, /good-/, 'no token');
});

t.test('POST /explain says what the command says', async (t) => {
  const gate = await startTestGateway(t);
  const url = 'https://gate.example/headers';
  const allowed = await call(gate, '/explain', { body: { method: 'GET', url, scopes: ['read'] } });
  t.match(allowed.json(), { decision: 'allow', status: 200, rule: 'default/gate#0' });
  const denied = await call(gate, '/explain', { body: { method: 'GET', url, scopes: [] } });
  t.match(denied.json(), { decision: 'deny', status: 403, error: 'insufficient_scope', scopes: ['read'] });
  t.match((await call(gate, '/explain', { body: { method: 'GET', url } })).json(), {
    status: 401,
    error: 'no_token',
  });
  for (const body of [
    {},
    [],
    'null',
    '{',
    { method: 'GET' },
    { method: 'GET', url: 7 },
    { method: 'G T', url },
    { method: 'GET', url: '/headers' },
    { method: 'GET', url, scope: 'read' },
    { method: 'GET', url, scopes: 'read' },
    { method: 'GET', url, subject: 1 },
  ]) {
    t.equal((await call(gate, '/explain', { body })).status, 400, JSON.stringify(body));
  }
  t.equal(gate.endpoint.asked.length, 0, 'no network');
  t.equal(gate.log.filter(({ msg }) => msg === 'decision').length, 0, 'no decision is made');
});

t.test('a page of another site cannot read through a name of its own', async (t) => {
  const gate = await startTestGateway(t, { settings: { admin: { hosts: ['gate.internal'] } } });
  const status = async (host: string, path: string) => (await call(gate, path, { headers: { host } })).status;
  for (const path of ['/', '/rules', '/status', '/series']) {
    for (const host of [
      'evil.example:4456',
      'localhost.evil.example',
      'xgate.internal',
      '127.0.0.1.evil.example',
      '',
    ]) {
      t.equal(await status(host, path), 403, `${host} ${path}`);
    }
    for (const host of [
      '127.0.0.1:4456',
      '[::1]:4456',
      'localhost',
      'scopegate.localhost:1',
      '10.0.0.7',
      'Gate.Internal:80',
    ]) {
      t.equal(await status(host, path), 200, `${host} ${path}`);
    }
  }
  const evil = { host: 'evil.example', 'content-type': 'application/json' };
  t.equal((await call(gate, '/cache/purge', { body: { all: true }, headers: evil })).status, 403);
  t.equal(
    (await call(gate, '/explain', { body: { method: 'GET', url: 'http://a/' }, headers: evil })).status,
    403,
  );
  for (const path of ['/health/alive', '/health/ready', '/version', '/metrics']) {
    t.equal(await status('scopegate.monitoring.svc:4456', path), 200, `${path} is for machines`);
  }
});

t.test('what machines read is held against names too, but for those no stranger has', async (t) => {
  const gate = await startTestGateway(t, { settings: { admin: { hosts: ['gate.example'] } } });
  const get = (host: string, path: string) => call(gate, path, { headers: { host } });
  const strangers = ['evil.example', 'svc.evil.example', 'x.svc.evil.com:4456', 'cluster.local.evil.org'];
  const ours = [
    // The kubelet's probes and Prometheus' discovery of pods go to the address of the pod.
    ...['10.244.1.7:4456', '[fd00::7]:4456', 'localhost:4456', 'gate.example:4456', 'GATE.example'],
    // What a single word or these ends mean is up to the cluster, the compose file or the network: nobody registers them.
    ...[
      'scopegate:4456',
      'scopegate.shop.svc',
      'scopegate.shop.svc.cluster.local:4456',
      'host.docker.internal',
    ],
  ];
  for (const path of ['/metrics', '/version']) {
    for (const host of ours) t.equal((await get(host, path)).status, 200, `${host}${path}`);
    for (const host of strangers) {
      const answer = await get(host, path);
      t.equal(answer.status, 403, `${host}${path}`);
      t.notMatch(answer.text, /scopegate_|0\.1/);
    }
  }
  const bare = await sendRaw(gate.adminPort, 'GET /metrics HTTP/1.0\r\n\r\n');
  t.equal(bare.answers[0]?.status, 200, 'a check without a name is no browser');

  // Load balancers check under any name: they learn what they have come for, and no more.
  for (const host of strangers) {
    t.same((await get(host, '/health/ready')).json(), { status: 'ok' }, host);
    t.equal((await get(host, '/health/alive')).status, 200, host);
    // Keys that upstreams verify by are public.
    t.equal((await get(host, '/.well-known/jwks.json')).status, 200, host);
  }
  for (const host of ours)
    t.match((await get(host, '/health/ready')).json(), { rules: { version: 1 } }, host);
});

t.test('a browser that another site has sent changes nothing, wherever it is', async (t) => {
  const folder = t.testdir({ token: 'secret-token\n' });
  const open = await startTestGateway(t, { settings: { admin: { hosts: ['gate.example'] } } });
  const guarded = await startTestGateway(t, { settings: { admin: { tokenFile: join(folder, 'token') } } });
  const foreign: readonly Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:3000' },
    { origin: 'https://127.0.0.1.evil.example' },
    { origin: '' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'nonsense' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
  ];
  for (const gate of [open, guarded]) {
    const authorization = gate === guarded ? { authorization: 'Bearer secret-token' } : {};
    const host = new URL(gate.adminUrl).host;
    const own: readonly Record<string, string>[] = [
      {},
      { origin: gate.adminUrl, 'sec-fetch-site': 'same-origin' },
      {
        origin: `http://localhost:${new URL(gate.adminUrl).port}`,
        host: host.replace('127.0.0.1', 'localhost'),
      },
      { 'sec-fetch-site': 'none' },
      // Behind a proxy of one's own that ends TLS and names another host.
      ...(gate === open ? [{ origin: 'https://gate.example', 'sec-fetch-site': 'same-origin' }] : []),
    ];
    for (const [path, body] of [
      ['/cache/purge', { all: true }],
      ['/explain', { method: 'GET', url: 'https://gate.example/' }],
    ] as const) {
      for (const headers of foreign) {
        const answer = await call(gate, path, { body, headers: { ...authorization, ...headers } });
        t.equal(answer.status, 403, `${path} ${JSON.stringify(headers)}`);
        t.match(answer.json(), { error: { code: 403 } });
      }
      for (const headers of own) {
        const answer = await call(gate, path, { body, headers: { ...authorization, ...headers } });
        t.equal(answer.status, 200, `${path} ${JSON.stringify(headers)}`);
      }
    }
  }
});

t.test('answers of the admin port are neither kept nor framed nor sniffed', async (t) => {
  const gate = await startTestGateway(t);
  for (const path of [
    '/',
    '/rules',
    '/status',
    '/series',
    '/metrics',
    '/health/alive',
    '/health/ready',
    '/version',
    '/no-such-page',
  ]) {
    const { headers, text } = await call(gate, path);
    t.equal(headers['cache-control'], 'no-store', path);
    t.equal(headers['x-content-type-options'], 'nosniff');
    t.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/);
    t.equal(headers['access-control-allow-origin'], undefined);
    if (path === '/no-such-page') t.match(JSON.parse(text), { error: { code: 404, status: 'Not Found' } });
  }
  const { answers } = await sendRaw(gate.adminPort, 'GET /%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  t.ok([400, 404].includes(answers[0]?.status ?? 0));
});

t.test('a gateway without rules is alive and not ready', async (t) => {
  const { settings } = await startTestGateway(t);
  const empty = { version: 0, rules: [], find: () => undefined };
  const gateway = await startGateway(settings, empty, { destination: { write: () => {} } });
  t.teardown(() => gateway.close());
  const gate = { ...gateway, url: gateway.proxyUrl } as unknown as TestGateway;
  t.equal((await call(gate, '/health/alive')).status, 200);
  const { status, json } = await call(gate, '/health/ready');
  t.equal(status, 503);
  t.same(json(), { status: 'no rules', rules: { version: 0 } });
  t.match((await call(gate, '/metrics')).text, /^scopegate_ready 0$/m);
  t.equal((await ask(gate, '/')).status, 404);
});

t.test('readiness and liveness answer while nothing else can', async (t) => {
  const gate = await startTestGateway(t, { rules: apiRule('gate.example', [rule('/.*', ['GET'], 'read')]) });
  t.same((await call(gate, '/health/alive')).json(), { status: 'ok' });
  t.same((await call(gate, '/health/ready')).json(), { status: 'ok', rules: { version: 1 } });
});
