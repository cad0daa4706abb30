import t from 'tap';
import {
  derivedReadiness,
  ReadinessChecks,
  type ReadinessResult,
} from '../../../src/auth/introspection/readiness.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, type Scope, startTestGateway } from '../../gateway.js';
import { until } from '../../until.js';

const TOKENS = { good: { scope: 'read', exp: 1_790_003_600 }, other: { scope: 'read', exp: 1_790_003_600 } };
const RULES = apiRule('gate.example', [
  rule('/headers', ['GET'], 'read'),
  rule('/stale', ['GET'], 'read', { scopegate: { staleIfError: '5m' } }),
]);

async function start(t: Scope, introspection: Readonly<Record<string, unknown>> = {}) {
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    rules: RULES,
    tokens: TOKENS,
    clock,
    settings: { introspection },
    respond: (_message, response) => response.end(),
  });
  const { endpoint } = gate;
  return {
    ...gate,
    clock,
    get: (token: string, path = '/headers') => ask(gate, path, { token }),
    /** Does what Hydra does when its database goes away. */
    outage(on: boolean): void {
      endpoint.readiness = on ? 503 : 200;
      endpoint.fault = on
        ? (_message, response) => {
            response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":false}');
          }
        : undefined;
    },
    metric: async (line: string) => {
      const response = await fetch(`${gate.adminUrl}/metrics`);
      return Number(
        new RegExp(`^${line.replaceAll(/[{}]/g, '\\$&')} (.*)$`, 'm').exec(await response.text())?.[1],
      );
    },
  };
}

t.test('an inactive answer of a server that is not ready is 503, is not cached, and is told', async (t) => {
  const { get, outage, endpoint, log, metric, clock } = await start(t);
  outage(true);
  for (const token of ['good', 'good', 'bad']) {
    const reply = await get(token);
    t.equal(reply.status, 503);
    t.equal(reply.headers['retry-after'], '1');
    t.equal(reply.headers['www-authenticate'], undefined, 'nothing says that the token is invalid');
  }
  t.same(endpoint.asked, ['good', 'good', 'bad'], 'nothing of it is cached');
  t.equal(endpoint.readinessChecks, 1, 'once in a second');
  t.match(
    log.filter(({ readiness }) => readiness !== undefined),
    [{ level: 40, state: 'not_ready', cause: /503/ }],
    'one line for the change',
  );
  t.match(
    log.find(({ msg }) => msg === 'introspection failed'),
    { cause: /not ready/ },
  );
  t.equal(await metric('scopegate_introspection_failures_total'), 3);
  t.equal(await metric('scopegate_introspection_readiness_checks_total{result="not_ready"}'), 1);

  outage(false);
  t.equal((await get('good')).status, 200, 'an active answer needs no readiness');
  t.equal((await get('bad')).status, 503, 'the last check still counts');
  clock.advance(1_000);
  t.equal((await get('bad')).status, 401);
  t.match(
    log.findLast(({ readiness }) => readiness !== undefined),
    { level: 30, state: 'ready' },
  );
});

t.test('invalid tokens of a server that is ready are 401, for one check a second', async (t) => {
  const { get, endpoint, clock } = await start(t);
  const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => get(`bad-${i}`)));
  t.same(new Set(replies.map(({ status }) => status)), new Set([401]));
  for (let i = 0; i < 20; i++) t.equal((await get(`worse-${i}`)).status, 401);
  t.equal(endpoint.readinessChecks, 1);
  clock.advance(999);
  await get('late');
  t.equal(endpoint.readinessChecks, 1);
  clock.advance(1);
  await get('later');
  t.equal(endpoint.readinessChecks, 2);
  t.equal((await get('good')).status, 200);
  clock.advance(5_000);
  t.equal((await get('good')).status, 200);
  t.equal(endpoint.readinessChecks, 2, 'good tokens ask nothing');
});

t.test('a token that was active is not taken for revoked on the word of an earlier check', async (t) => {
  const { get, outage, endpoint, clock } = await start(t, { cache: { ttl: '4s' } });
  t.equal((await get('good')).status, 200);
  clock.advance(4_000);
  t.equal((await get('bad')).status, 401);
  t.equal(endpoint.readinessChecks, 1, 'so the server was ready a moment ago');
  outage(true);
  t.equal((await get('good')).status, 503);
  t.equal((await get('other')).status, 503, 'nor is any other one, from then on');
  t.equal(endpoint.readinessChecks, 2);
});

t.test('a token that was revoked is 401, at the latest a second later', async (t) => {
  const { get, endpoint, clock } = await start(t, { cache: { ttl: '4s' } });
  await get('good');
  clock.advance(4_000);
  endpoint.tokens.delete('good');
  t.equal((await get('good')).status, 401);
  t.equal(endpoint.readinessChecks, 1);
});

t.test('what was taken for inactive just before the outage was noticed is asked again', async (t) => {
  const { get, outage, endpoint, clock } = await start(t, { cache: { ttl: '4s', negativeTtl: '1m' } });
  await get('bad');
  outage(true);
  t.equal((await get('other')).status, 401, 'the check of a moment ago covers it: no sign of an outage yet');
  clock.advance(1_000);
  t.equal((await get('good')).status, 503);
  outage(false);
  t.equal((await get('other')).status, 200, 'it is not remembered');
  t.equal(endpoint.asked.filter((token) => token === 'other').length, 2);
});

t.test('a rule with staleIfError goes on through a database outage', async (t) => {
  const { get, outage, clock } = await start(t, { cache: { ttl: '4s' } });
  t.equal((await get('good', '/stale')).status, 200);
  clock.advance(4_000);
  outage(true);
  t.equal((await get('good', '/stale')).status, 200);
  t.equal((await get('good', '/headers')).status, 503, 'and the others do not');
  t.equal((await get('bad', '/stale')).status, 503);
  outage(false);
  clock.advance(1_000);
  t.equal((await get('good', '/headers')).status, 200);
});

t.test('a refresh ends no answer while the server is not ready', async (t) => {
  const { get, outage, endpoint, clock, metric } = await start(t, {
    cache: { ttl: '10s', refreshBefore: '8s' },
  });
  await get('good');
  await get('good');
  outage(true);
  clock.advance(5_000);
  t.equal((await get('good')).status, 200);
  await until(async () => (await metric('scopegate_introspection_refreshes_total{result="failed"}')) === 1);
  t.equal((await get('good')).status, 200, 'it goes on to its end');
  clock.advance(5_000);
  t.equal((await get('good')).status, 503);
  outage(false);
  clock.advance(1_000);
  t.equal((await get('good')).status, 200);
  t.equal(endpoint.asked.length, 4);
});

t.test('which URL says so: Hydra’s own, another one, or none', async (t) => {
  const absent = await start(t);
  absent.endpoint.readiness = 404;
  t.equal((await absent.get('bad')).status, 401, 'a derived URL may be wrong');
  absent.clock.advance(59_999);
  await absent.get('bad-2');
  t.equal(absent.endpoint.readinessChecks, 1, 'and is left alone for a minute');
  absent.clock.advance(1);
  await absent.get('bad-3');
  t.equal(absent.endpoint.readinessChecks, 2);
  t.match(
    absent.log.filter(({ readiness }) => readiness !== undefined),
    [{ level: 40, state: 'absent', derived: true }],
  );

  const off = await start(t, { readiness: 'none' });
  off.endpoint.readiness = 503;
  t.equal((await off.get('bad')).status, 401);
  t.equal(off.endpoint.readinessChecks, 0);

  const elsewhere = await start(t);
  const named = await start(t, { readiness: new URL('/health/ready', elsewhere.endpoint.url).href });
  named.endpoint.readiness = 503;
  t.equal((await named.get('bad')).status, 401);
  t.equal(elsewhere.endpoint.readinessChecks, 1);
  t.equal(named.endpoint.readinessChecks, 0);
  for (const status of [503, 500, 404, 302, 429]) {
    elsewhere.endpoint.readiness = status;
    named.clock.advance(1_000);
    t.equal(
      (await named.get(`bad ${status}`.replace(' ', '-'))).status,
      503,
      `a setting that answers ${status}`,
    );
  }
  await elsewhere.endpoint.close();
  named.clock.advance(1_000);
  t.equal((await named.get('bad-again')).status, 503, 'a URL that nobody answers');

  for (const [url, derived] of [
    ['http://hydra:4445/admin/oauth2/introspect', 'http://hydra:4445/health/ready'],
    ['http://hydra:4445/admin/oauth2/introspect/?a=b', 'http://hydra:4445/health/ready'],
    ['http://hydra:4445/oauth2/introspect', 'http://hydra:4445/health/ready'],
    ['https://as.example/hydra/admin/oauth2/introspect', 'https://as.example/hydra/health/ready'],
    ['https://as.example/realms/a/protocol/openid-connect/token/introspect', undefined],
    ['https://as.example/oauth2/introspection', undefined],
  ] as const) {
    t.equal(derivedReadiness(url)?.url, derived, url);
  }
});

t.test('a readiness URL that does not answer is 503 at the deadline of the introspection', async (t) => {
  const { get, endpoint } = await start(t, { timeout: '300ms' });
  endpoint.hangReadiness = true;
  t.equal((await get('bad')).status, 503);
  endpoint.hangReadiness = false;
});

t.test('servers that only a rule names are asked as well', async (t) => {
  const elsewhere = await start(t);
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      {
        path: '/headers',
        methods: ['GET'],
        accessStrategies: [
          { handler: 'oauth2_introspection', config: { introspection_url: elsewhere.endpoint.url } },
        ],
      },
    ]),
  });
  elsewhere.endpoint.readiness = 503;
  t.equal((await ask(gate, '/headers', { token: 'bad' })).status, 503);
  t.equal(elsewhere.endpoint.readinessChecks, 1);
});

/** Checks that the test answers. */
function setUpChecks() {
  const clock = fakeClock();
  const running: ((result: ReadinessResult) => void)[] = [];
  const checks = new ReadinessChecks(() => new Promise((resolve) => running.push(resolve)), clock);
  const endpoint = {
    url: 'http://hydra/admin/oauth2/introspect',
    headers: {},
    auth: { method: 'none' },
    readiness: { url: 'http://hydra/health/ready' },
  } as const;
  const confirm = (wasActive = false, asked = clock.monotonic()) =>
    checks.confirm(endpoint, asked, wasActive);
  return { clock, running, confirm };
}

t.test('answers that arrive during a check share it, unless one is a sign of an outage', async (t) => {
  const { running, confirm, clock } = setUpChecks();
  const first = confirm();
  const second = confirm();
  t.equal(running.length, 1);
  const doubted = confirm(true);
  clock.advance(1_000);
  running[0]?.({ state: 'ready' });
  t.same(await Promise.all([first, second]), [{ ok: true }, { ok: true }]);
  await until(() => running.length === 2);
  running[1]?.({ state: 'not_ready', cause: 'it is down', retryAfter: 2_000 });
  t.same(await doubted, { ok: false, cause: 'it is down', retryAfter: 2_000 });
});

t.test('an answer to a call from before the server was ready again does not count', async (t) => {
  const { running, confirm, clock } = setUpChecks();
  const during = confirm();
  running[0]?.({ state: 'not_ready', cause: 'it is down', retryAfter: 1_000 });
  t.match(await during, { ok: false });
  clock.advance(1_000);
  const asked = clock.monotonic();
  clock.advance(10);
  const before = confirm(false, asked);
  running[1]?.({ state: 'ready' });
  t.match(await before, { ok: false, retryAfter: 1_000 }, 'the server may have become ready in between');
  t.match(await confirm(), { ok: true });
});
