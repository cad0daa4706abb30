import t from 'tap';
import { CacheKeys, canonicalHydraToken } from '../../../src/auth/introspection/cache-keys.js';
import {
  identityOf,
  identityText,
  identityTextOf,
  isAbout,
} from '../../../src/auth/introspection/token-identity.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import type { ActiveAnswer } from '../../../src/model/introspection.js';

const endpoint = (more: Partial<Endpoint> = {}): Endpoint => ({
  url: 'https://as.example/introspect',
  headers: {},
  auth: { method: 'none' },
  ...more,
});
const basic = (clientId: string): Endpoint['auth'] => ({
  method: 'basic',
  clientId,
  clientSecret: () => 'secret',
});
const signed = (issuer: string): NonNullable<Endpoint['signed']> => ({
  issuer,
  audience: 'gate',
  algorithms: ['RS256'],
});

t.test('no endpoint, credentials, header field or lifetime finds the cached answers of another', (t) => {
  const keys = new CacheKeys();
  const others = [
    endpoint(),
    endpoint({ url: 'https://as.example/introspect?' }),
    endpoint({ auth: basic('a') }),
    endpoint({ auth: basic('b') }),
    endpoint({ auth: { method: 'bearer', token: () => 'a' } }),
    endpoint({ auth: { method: 'bearer', token: () => 'b' } }),
    endpoint({ headers: { 'x-tenant': 'a' } }),
    endpoint({ headers: { 'x-tenant': 'b' } }),
    endpoint({ headers: { 'x-realm': 'a' } }),
    endpoint({ signed: signed('https://a.example') }),
    endpoint({ signed: signed('https://b.example') }),
    endpoint({ lifetime: 0 }),
    endpoint({ lifetime: 1_000 }),
  ];
  const made = others.map((each) => keys.of(each, 'a-token').key);
  t.equal(new Set(made).size, others.length);
  t.match(made[0], /^[A-Za-z0-9+/]{43}=$/, 'a SHA-256, in which no token can be read');
  t.not(keys.of(others[0] as Endpoint, 'b-token').key, made[0]);
  t.same(
    others.map((each) => keys.of({ ...each }, 'a-token').key),
    made,
    'what is said alike elsewhere has the same key',
  );
  t.same(
    keys.everywhere('a-token').map(({ key }) => key),
    made.filter((_, i) => others[i]?.lifetime !== 0),
    'a purge looks at all endpoints that keep answers',
  );
  t.end();
});

const SECOND = 's'.repeat(43);

t.test('a key says whether other spellings of the token may have other keys', (t) => {
  const token = `ory_at_${'A'.repeat(43)}.${SECOND}`;
  const bare = token.slice(7);
  const hydra = 'http://hydra:4445/admin/oauth2/introspect';
  const keys = new CacheKeys();
  for (const [each, exact] of [
    [endpoint({ url: hydra }), true],
    [endpoint({ url: hydra, lifetime: 0 }), true],
    [endpoint({ url: hydra, lifetime: 1 }), true],
    [endpoint({ url: hydra, discovered: true }), false],
    [endpoint({ url: 'not a URL' }), false],
    [endpoint(), false],
  ] as const) {
    for (let i = 0; i < 2; i++)
      t.match(keys.of(each, token), { token: exact ? bare : token, exact }, JSON.stringify(each));
    t.match(keys.of(each, 'opaque'), { token: 'opaque', exact: false }, 'no token of Hydra');
    t.equal(keys.of(each, token).key === keys.of(each, bare).key, exact);
  }
  t.same(
    new Set(keys.everywhere(token).map((key) => `${key.exact} ${key.token}`)),
    new Set([`true ${bare}`, `false ${token}`]),
  );
  t.end();
});

t.test('Hydra’s spellings of a token differ only in bits that base64 does not use', (t) => {
  const spelled = (first: string) => canonicalHydraToken(`${first}.${SECOND}`)?.split('.')[0];
  const a = (length: number, last: string) => `${'A'.repeat(length - 1)}${last}`;
  for (const [length, written, canonical] of [
    [22, 'v', 'g'],
    [22, 'P', 'A'],
    [22, '_', 'w'],
    [23, 'v', 's'],
    [23, 'D', 'A'],
    [23, '_', '8'],
    [24, 'v', 'v'],
    [24, '_', '_'],
    [26, '_', 'w'],
    [43, '_', '8'],
  ] as const) {
    t.equal(spelled(a(length, written)), a(length, canonical), `${length} ${written}`);
  }
  t.equal(spelled(a(25, 'A')), undefined, 'no bytes encode to such a length');
  t.equal(spelled(a(21, 'A')), undefined, 'too short for a token of Hydra');
  t.equal(canonicalHydraToken(`${a(22, 'A')}.${SECOND.slice(0, 21)}`), undefined);
  t.equal(canonicalHydraToken(`ory_at_${a(22, 'A')}.${SECOND}`), `${a(22, 'A')}.${SECOND}`);
  t.equal(canonicalHydraToken(`ory_rt_${a(22, 'A')}.${SECOND}`), `ory_rt_${a(22, 'A')}.${SECOND}`);
  for (const token of [`x ${a(22, 'A')}.${SECOND}`, `${a(22, 'A')}.${SECOND} x`, `ory_ABC_${a(22, 'A')}.s`])
    t.equal(canonicalHydraToken(token), undefined, token);
  t.end();
});

t.test('a purge by token reaches only answers that are surely about that token', (t) => {
  const answer = (claims: ActiveAnswer['claims']) => ({ claims }) as ActiveAnswer;
  const whole = { iss: 'i', client_id: 'c', sub: 's', iat: 1, nbf: 2, exp: 3, jti: 'j', scope: 'r' };
  const identity = identityOf(answer({ ...whole, username: 'u' }));
  t.same(identity, ['i', 'c', 's', 1, 2, 3, 'j', 'r']);
  t.ok(isAbout(answer({ ...whole, username: 'other' }), identity ?? []));
  for (const name of Object.keys(whole) as (keyof typeof whole)[]) {
    const { [name]: _, ...less } = whole;
    t.notOk(isAbout(answer({ ...whole, [name]: 'x' }), identity ?? []), name);
    t.notOk(isAbout(answer(less), identity ?? []), `no ${name}`);
  }
  for (const claims of [
    { jti: 'j' },
    { jti: 7 },
    { iat: 1, client_id: 'c' },
    { iat: 1, sub: 's' },
    { exp: 1, client_id: 'c' },
    { exp: 1, sub: 's' },
  ]) {
    const found = identityOf(answer(claims));
    t.ok(found !== undefined && isAbout(answer(claims), found), JSON.stringify(claims));
    t.equal(found && identityText(found), identityTextOf(claims));
  }
  for (const claims of [
    {},
    { iat: 1 },
    { exp: 1, iat: 1, nbf: 1, iss: 'i', scope: 'r' },
    { sub: 's', client_id: 'c', nbf: 1, iss: 'i', scope: 'r' },
    { jti: ['j'], iat: { a: 1 }, exp: true, sub: 's' },
    { iat: 1, sub: null, client_id: ['c'] },
  ])
    t.equal(identityOf(answer(claims as ActiveAnswer['claims'])), undefined, JSON.stringify(claims));
  t.equal(identityTextOf({ sub: 's', aud: 'a' }), '[null,null,"s",null,null,null,null,null]');
  t.end();
});
