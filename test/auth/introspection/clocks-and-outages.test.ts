import t from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule } from '../../gateway.js';
import { start as startAuthorizationServer } from '../../stack/authorization-server.js';
import { body, refused, start } from './faults-setup.js';

t.test('clocks that differ by five minutes: leeway says whether a token counts', async (t) => {
  for (const [leeway, skew, exp, nbf, status] of [
    ['0s', 0, 60, -60, 200],
    ['0s', 300, 60, -60, 401],
    ['0s', -300, 60, -60, 401],
    ['5m', 300, 60, -60, 200],
    ['5m', -300, 60, -60, 200],
    ['5m', 361, 60, -60, 401],
    ['5m', -361, 60, -60, 401],
  ] as const) {
    const clock = fakeClock();
    const wall = clock.wall();
    const { gate } = await start(
      t,
      { leeway },
      { clock, tokens: { token: { scope: 'read', exp: wall + exp, nbf: wall + nbf } } },
    );
    clock.step(skew);
    t.equal((await ask(gate, '/x', { token: 'token' })).status, status, `${skew} s off, leeway ${leeway}`);
    clock.step(-skew);
    t.equal((await ask(gate, '/x', { token: 'token' })).status, 200, 'and right again when the clock is');
  }
});

t.test('a clock that steps back prolongs no cached answer', async (t) => {
  const clock = fakeClock();
  const tokens = { token: { scope: 'read', exp: clock.wall() + 30 } };
  const { gate } = await start(t, {}, { clock, tokens });
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  gate.endpoint.tokens.delete('token');
  clock.step(-300);
  clock.advance(30_000);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 401, 'the server was asked again');
  t.equal(gate.endpoint.asked.length, 2);
});

t.test('a cached token whose exp passes is refused at once', async (t) => {
  const clock = fakeClock();
  const tokens = { token: { scope: 'read', exp: clock.wall() + 30 } };
  const { gate } = await start(t, {}, { clock, tokens });
  clock.advance(29_999);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  clock.advance(1);
  const late = await ask(gate, '/x', { token: 'token' });
  t.equal(late.status, 401, 'though the server still says active');
  t.match(late.headers['www-authenticate'], /error="invalid_token"/);
  clock.step(-10);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  clock.step(10);
  t.equal(
    (await ask(gate, '/x', { token: 'token' })).status,
    401,
    'on a hit and after a step of the clock too',
  );
});

t.test('a token revoked while cached is refused within the ttl', async (t) => {
  const server = await startAuthorizationServer();
  t.teardown(() => server.close());
  const { gate, clock } = await start(t, { url: server.introspectionUrl, cache: { ttl: '60s' } });
  const token = await server.issueToken({ scope: 'read' });
  t.equal((await ask(gate, '/x', { token })).status, 200);
  await server.revoke(token);
  clock.advance(59_999);
  t.equal((await ask(gate, '/x', { token })).status, 200);
  clock.advance(1);
  t.equal((await ask(gate, '/x', { token })).status, 401);
});

t.test(
  'while the server is down, cached tokens are served to the end of their lives, never stale',
  async (t) => {
    const server = await startAuthorizationServer();
    t.teardown(() => server.close());
    const { gate, clock } = await start(t, { url: server.introspectionUrl });
    const now = clock.wall();
    const lasting = (seconds: number): Promise<string> =>
      server.issueToken({ scope: 'read', claims: { nbf: now, iat: now, exp: now + seconds } });
    const [long, short] = await Promise.all([lasting(3600), lasting(30)]);
    for (const token of [long, short]) t.equal((await ask(gate, '/x', { token })).status, 200);
    await server.stop();
    gate.upstream.received.length = 0;
    clock.advance(25_000);
    for (const token of [long, short]) t.equal((await ask(gate, '/x', { token })).status, 200);
    gate.upstream.received.length = 0;
    clock.advance(6_000);
    refused(t, gate, await ask(gate, '/x', { token: short }), 'after exp');
    t.equal((await ask(gate, '/x', { token: long })).status, 200);
    gate.upstream.received.length = 0;
    clock.advance(30_000);
    refused(t, gate, await ask(gate, '/x', { token: long }), 'after the ttl');
  },
);

t.test('a rule with staleIfError goes on for a bounded time, with safe methods', async (t) => {
  const strategy = { handler: 'oauth2_introspection', config: { required_scope: ['read'] } };
  const rules = apiRule('gate.example', [
    {
      path: '/patient',
      methods: ['GET', 'HEAD', 'POST'],
      accessStrategies: [strategy],
      scopegate: { staleIfError: '5m' },
    },
    { path: '/strict', methods: ['GET'], accessStrategies: [strategy] },
  ]);
  const clock = fakeClock();
  const now = clock.wall();
  const tokens = {
    long: { scope: 'read', exp: now + 3600 },
    other: { scope: 'write', exp: now + 3600 },
    short: { scope: 'read', exp: now + 90 },
    endless: { scope: 'read' },
    unseen: { scope: 'read', exp: now + 3600 },
    revoked: { scope: 'read', exp: now + 3600 },
  };
  const { gate } = await start(t, { cache: { ttl: '60s' } }, { clock, rules, tokens });
  const get = async (token: string, method: 'GET' | 'HEAD' | 'POST' = 'GET', path = '/patient') =>
    (await ask(gate, path, { token, method })).status;
  for (const token of ['long', 'other', 'short', 'endless', 'revoked']) await get(token);
  clock.advance(61_000);
  gate.endpoint.tokens.delete('revoked');
  t.equal(await get('revoked'), 401);
  gate.endpoint.fault = body('', {}, 500);
  t.equal(await get('long'), 200);
  const line = gate.log.findLast(({ audit }) => audit !== undefined);
  t.match(line, { decision: 'allow', introspection: 'stale', subject: '' });
  t.equal(await get('long', 'HEAD'), 200);
  t.equal(await get('long', 'POST'), 503, 'a method that changes something');
  t.equal(await get('long', 'GET', '/strict'), 503, 'a rule that does not ask for it');
  t.equal(await get('other'), 403, 'scopes are checked as ever');
  t.equal(await get('short'), 200);
  t.equal(await get('endless'), 503, 'a token without exp');
  t.equal(await get('unseen'), 503, 'a token that nothing is known of');
  clock.advance(10_000);
  t.equal(await get('revoked'), 503, 'a token that was not active when it was last asked about');
  clock.advance(19_000);
  t.equal(await get('short'), 503, 'its exp has passed');
  clock.step(-60);
  t.equal(await get('short'), 503, 'and a clock that is set back does not undo that');
  clock.step(60);
  clock.advance(269_999);
  t.equal(await get('long'), 200, 'five minutes after the end of its life, less a millisecond');
  clock.advance(1);
  t.equal(await get('long'), 503);
  const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  t.match(metrics, /scopegate_introspection_lookups_total\{result="stale"\} 5\n/);
  gate.endpoint.fault = undefined;
  clock.advance(300_000);
  t.equal(await get('long'), 200);
  t.match(gate.log.at(-1), { introspection: 'miss' }, 'the server is asked as soon as it answers again');
});
