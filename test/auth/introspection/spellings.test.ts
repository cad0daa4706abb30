import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { CacheKeys, canonicalHydraToken } from '../../../src/auth/introspection/cache-keys.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { available } from '../../require.js';
import { spellings } from '../../stack/hydra/spellings.js';
import { until } from '../../until.js';
import { purge, source, startFleet, status } from './fleet.js';
import { startRedis } from './redis.js';

/** A token as Hydra makes them. */
const hydraToken = () =>
  `ory_at_${randomBytes(32).toString('base64url')}.${randomBytes(32).toString('base64url')}`;

t.test('the eight spellings of a Hydra token are one, and no other token is', async (t) => {
  for (let i = 0; i < 200; i++) {
    const all = spellings(hydraToken());
    t.equal(new Set(all).size, 8);
    t.equal(new Set(all.map(canonicalHydraToken)).size, 1);
  }
  await fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(31), fc.nat(7), (bytes, at, bit) => {
      const other = Uint8Array.from(bytes);
      (other[at] as number) ^= 1 << bit;
      const [one, two] = [bytes, other].map(
        (key) => `${Buffer.from(key).toString('base64url')}.${'s'.repeat(43)}`,
      );
      return canonicalHydraToken(one as string) !== canonicalHydraToken(two as string);
    }),
  );
  const [first = '', second = ''] = hydraToken().slice(7).split('.');
  for (const different of [
    `${first}.${second}x`,
    `${first}A.${second}`,
    `ory_rt_${first}.${second}`,
    `${second}.${first}`,
  ]) {
    t.not(canonicalHydraToken(different), canonicalHydraToken(`${first}.${second}`), different);
  }
  for (const token of ['opaque', 'a.b', `${first}.${second}.${second}`, `${first}=.${second}`, '']) {
    t.equal(canonicalHydraToken(token), undefined, `not Hydra's: ${token}`);
  }
});

t.test('only an endpoint of Hydra merges spellings', (t) => {
  const keys = new CacheKeys();
  const at = (url: string): Endpoint => ({ url, headers: {}, auth: { method: 'none' } });
  const all = spellings(hydraToken());
  const keysAt = (url: string) => new Set(all.map((token) => keys.of(at(url), token).key)).size;
  t.equal(keysAt('http://hydra:4445/admin/oauth2/introspect'), 1);
  t.equal(keysAt('http://hydra:4445/oauth2/introspect'), 1);
  t.equal(keysAt('https://as.example/introspect'), 8);
  t.end();
});

const REVOKE = {
  path: '/oauth2/revoke',
  methods: ['POST'],
  accessStrategies: [{ handler: 'allow' }],
  scopegate: { revocation: 'observe' },
};

t.test('at Hydra one introspection is for all spellings, and a purge or revocation too', async (t) => {
  const all = spellings(hydraToken());
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/x', ['GET'], 'read'), REVOKE]),
    tokens: Object.fromEntries(
      all.map((token) => [token, { scope: 'read', sub: 'alice', client_id: 'app' }]),
    ),
    respond: (_message, response) => response.end(),
  });
  const useAll = async () => {
    for (const token of all) t.equal(await status(gate, token), 200);
    return gate.endpoint.asked.splice(0).length;
  };
  t.equal(await useAll(), 1);
  for (const token of all) {
    t.match(await purge(gate, { token }), { purged: 1 });
    t.equal(await useAll(), 1);
    const body = `token=${token}&client_id=app`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    await ask(gate, '/oauth2/revoke', { method: 'POST', body, headers });
    t.equal(await useAll(), 1);
  }
  t.same(
    new Set(gate.log.flatMap(({ revocation }) => revocation ?? [])),
    new Set(['token']),
    'the token was found in the cache each time',
  );
});

/** What a server says of one token whose case it ignores, and of another one of the same client. */
const OTHER_SERVER = {
  token: { scope: 'read', sub: 'alice', client_id: 'app', iat: 1_790_000_000, exp: 1_790_003_600 },
  TOKEN: { scope: 'read', sub: 'alice', client_id: 'app', iat: 1_790_000_000, exp: 1_790_003_600 },
  next: { scope: 'read', sub: 'alice', client_id: 'app', iat: 1_790_000_001, exp: 1_790_003_601 },
  bare: { scope: 'read' },
  plain: { scope: 'read' },
};

t.test('at another server a purge reaches the answers that are about the same token', async (t) => {
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/x', ['GET'], 'read'), REVOKE]),
    tokens: OTHER_SERVER,
    clock,
    respond: (_message, response) => response.end(),
  });
  const useAll = async () => {
    for (const token of Object.keys(OTHER_SERVER)) t.equal(await status(gate, token), 200);
    return gate.endpoint.asked.splice(0);
  };
  t.equal((await useAll()).length, 5);
  t.match(await purge(gate, { token: 'TOKEN' }), { purged: 2 });
  t.same(await useAll(), ['token', 'TOKEN']);
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  await ask(gate, '/oauth2/revoke', { method: 'POST', body: 'token=token', headers });
  t.same(await useAll(), ['token', 'TOKEN']);
  t.match(await purge(gate, { token: 'bare' }), { purged: 1 });
  t.same(await useAll(), ['bare'], 'an answer that does not tell one token from another finds none');
});

t.test('gateways that share a cache purge all spellings too, whoever has which', async (t) => {
  if (!available(t, 'redis')) return;
  const clock = fakeClock();
  const redis = await startRedis(t);
  const all = spellings(hydraToken());
  const claims = { scope: 'read', sub: 'bob', client_id: 'app' };
  const tokens = { ...OTHER_SERVER, ...Object.fromEntries(all.map((token) => [token, claims])) };
  const { server, gateway } = await startFleet(t, { url: redis.url }, tokens, clock);
  const [one, two, three] = [await gateway(), await gateway(), await gateway()];
  const stored = (n: number) => until(async () => (await redis.all()).size === n);
  const asked = () => server.asked.splice(0).filter((token) => token !== 'nobody');

  t.equal(await status(one, all[0] as string), 200);
  await stored(1);
  t.equal(await status(two, all[5] as string), 200);
  t.equal(source(two), 'shared', 'one spelling reads what another one stored');
  t.equal(asked().length, 1);
  server.tokens.clear();
  t.match(await purge(three, { token: all[2] }), { told: true });
  for (const gate of [one, two]) await until(async () => (await status(gate, all[7] as string)) === 401);

  for (const [token, answer] of Object.entries(OTHER_SERVER)) server.tokens.set(token, answer);
  clock.advance(10_000);
  t.equal(await status(one, 'token'), 200);
  await stored(1);
  t.equal(await status(two, 'TOKEN'), 200);
  t.equal(await status(two, 'next'), 200);
  await stored(3);
  t.equal(await status(three, 'unknown'), 401, 'it knows the endpoint');
  asked();
  t.match(await purge(three, { token: 'token' }), { told: true });
  await until(async () => {
    await status(two, 'TOKEN');
    return source(two) !== 'hit';
  });
  t.equal(source(two), 'miss', 'the purge found it here, and in the store');
  await status(two, 'next');
  t.equal(source(two), 'hit', 'the client’s other token stays');
  const late = await gateway();
  await status(late, 'TOKEN');
  t.equal(source(late), 'miss', 'a gateway that starts later knows of the purge');
});
