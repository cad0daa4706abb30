import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UnsecuredJWT } from 'jose';
import t from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';
import { type Issuer, startIssuer } from '../../jwks.js';
import { EC, NOW, rulesOf, start } from './jwt-setup.js';

t.test('a token is let through when its signature, time, issuer, audience and scopes are good', async (t) => {
  const { issuer, key, gate, get } = await start(
    t,
    ({ url }) => ({
      jwks_urls: [url],
      trusted_issuers: ['https://as.example'],
      target_audience: ['orders', 'shop'],
      required_scope: ['read', 'list'],
    }),
    'RS256',
  );
  const good = {
    iss: 'https://as.example',
    aud: ['orders', 'shop', 'x'],
    scope: 'read list more',
    sub: 'alice',
  };
  t.equal((await get(await issuer.sign(key, 'k1', good))).status, 200);
  for (const scopes of [{ scp: ['read', 'list'] }, { scopes: ['list', 'read'] }, { scp: 'read list' }]) {
    const { scope: _, ...rest } = good;
    t.equal(
      (await get(await issuer.sign(key, 'k1', { ...rest, ...scopes }))).status,
      200,
      'scopes as a list',
    );
  }
  t.equal((await get(await issuer.sign(key, 'k1', good, { typ: 'JWT' }))).status, 200);
  t.equal(gate.log.filter(({ subject }) => subject === 'alice').length, 5);
  t.equal(issuer.reads(), 1, 'the keys are read once');

  const refused = async (claims: object, reason: string, header?: object) => {
    const answer = await get(await issuer.sign(key, 'k1', { ...good, ...claims }, header));
    t.equal(answer.status, 401, reason);
    t.equal(answer.reason, reason);
    t.match(answer.headers['www-authenticate'], 'error="invalid_token"');
  };
  await refused({ exp: NOW }, 'the token has expired');
  await refused({ exp: undefined }, 'the token has no usable claim "exp"');
  await refused({ exp: '9999999999' as unknown as number }, 'the token has no usable claim "exp"');
  await refused({ nbf: NOW + 60 }, 'the token is not valid yet');
  await refused({ iss: 'https://other.example' }, 'the token is from an issuer that is not trusted');
  await refused({ iss: undefined }, 'the token is from an issuer that is not trusted');
  await refused({ aud: ['orders'] }, 'the token is not meant for this audience');
  await refused({ aud: undefined }, 'the token is not meant for this audience');
  await refused({ cnf: { jkt: 'x' } }, 'the token is bound to a key that cannot be verified here');
  await refused({ token_use: 'id' }, 'the token is not an access token');
  await refused({}, 'the token is not an access token', { typ: 'dpop+jwt' });
  await refused({}, 'the token is not an access token', { typ: 'token-introspection+jwt' });

  const lacking = await get(await issuer.sign(key, 'k1', { ...good, scope: 'read' }));
  t.equal(lacking.status, 403);
  t.match(lacking.headers['www-authenticate'], 'error="insufficient_scope"');
  t.match(lacking.headers['www-authenticate'], 'scope="read list"');

  const none = await get();
  t.equal(none.status, 401);
  t.notMatch(none.headers['www-authenticate'], 'error=');
  t.match(none.headers['www-authenticate'], 'scope="read list"', 'it says what a token needs');
  const opaque = await get('opaque');
  t.equal(opaque.status, 401);
  t.match(opaque.headers['www-authenticate'], 'error="invalid_token"');
  t.equal((await get('a.b.c')).status, 401);
  t.equal((await get(undefined, { headers: { authorization: 'Bearer a b' } })).status, 400);
});

t.test('the client is the one that the token names, in either claim', async (t) => {
  const { issuer, key, gate, get } = await start(t, ({ url }) => ({ jwks_urls: [url], ...EC }));
  for (const [claims, client] of [
    [{ client_id: 'a', azp: 'b' }, 'a'],
    [{ azp: 'b' }, 'b'],
    [{ client_id: 1, azp: 'b' }, undefined],
    [{ ext: null }, undefined],
  ] as const) {
    t.equal((await get(await issuer.sign(key, 'k1', claims))).status, 200, JSON.stringify(claims));
    t.equal(gate.log.at(-1)?.client_id, client);
  }
});

t.test('what is not signed by a published key is refused', async (t) => {
  const { issuer, key, get } = await start(
    t,
    ({ url }) => ({ jwks_urls: [url], allowed_algorithms: ['RS256', 'ES256'] }),
    'RS256',
  );
  const token = await issuer.sign(key, 'k1', { sub: 'a' });
  const [head, body, signature] = token.split('.') as [string, string, string];
  const forged = Buffer.from(JSON.stringify({ sub: 'root', exp: NOW + 600 })).toString('base64url');
  for (const [name, bad] of Object.entries({
    'another body': `${head}.${forged}.${signature}`,
    'no signature': `${head}.${body}.`,
    'alg none': `${new UnsecuredJWT({ sub: 'root', exp: NOW + 600 }).encode()}x`,
  })) {
    t.equal((await get(bad)).status, 401, name);
  }
  t.equal((await get(await issuer.sign(await issuer.makeKey('k1', 'RS256', false), 'k1', {}))).status, 401);
  const es = await issuer.makeKey('e1', 'ES256');
  t.equal(
    (await get(await issuer.sign(es, 'k1', {}, { alg: 'ES256' }))).status,
    401,
    'a key of another kind',
  );
  // The public key taken for a shared secret.
  const secret = new TextEncoder().encode(JSON.stringify(issuer.keys[0]));
  const { SignJWT } = await import('jose');
  const confused = await new SignJWT({ exp: NOW + 600 })
    .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
    .sign(secret);
  t.equal((await get(confused)).reason, 'the token is signed with an algorithm that is not allowed');
});

t.test('keys are rotated: an unknown one makes the set be read again, but rarely', async (t) => {
  const { clock, issuer, key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  t.equal((await get(await issuer.sign(key, 'k1', {}))).status, 200);
  t.equal(issuer.reads(), 1);
  clock.advance(11_000);
  const next = await issuer.makeKey('k2');
  const tokens = await Promise.all([1, 2, 3, 4].map(() => issuer.sign(next, 'k2', {})));
  const answers = await Promise.all(tokens.map((token) => get(token)));
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  t.equal(issuer.reads(), 2, 'one look for all of them');

  for (let i = 0; i < 20; i++) {
    const invented = await get(await issuer.sign(key, `invented-${i}`, {}));
    t.equal(invented.status, 503, 'the set was read a moment ago, and may have a new key since');
    t.equal(invented.headers['retry-after'], '10');
  }
  t.equal(issuer.reads(), 2, 'invented key ids make no further look');
  clock.advance(11_000);
  for (let i = 0; i < 3; i++) t.equal((await get(await issuer.sign(key, 'invented', {}))).status, 401);
  t.equal(issuer.reads(), 3, 'a key that the last look did not find is no new one');

  // A key that was taken back is forgotten when the set is fresh no more.
  issuer.keys.shift();
  clock.advance(301_000);
  await get(await issuer.sign(next, 'k2', { exp: NOW + 1_000 }));
  t.equal((await get(await issuer.sign(next, 'k2', { exp: NOW + 1_000 }))).status, 200);
  t.equal((await get(await issuer.sign(key, 'k1', { exp: NOW + 1_000 }))).status, 401);
});

t.test('a rotation never makes a good token 401, whatever others have made the gateway read', async (t) => {
  const { clock, issuer, key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  t.equal(
    (await get(await issuer.sign(key, 'invented', {}))).status,
    401,
    'the set was read for this very token',
  );
  // Hydra signs with a new key at once; it is published when it is used.
  const next = await issuer.makeKey('k2');
  const token = await issuer.sign(next, 'k2', {});
  const early = await get(token);
  t.equal(early.status, 503);
  const wait = Number(early.headers['retry-after']);
  clock.advance(wait * 1000);
  t.equal((await get(token)).status, 200, 'and good when the client comes again');
  t.equal((await get(await issuer.sign(key, 'k1', {}))).status, 200);
  issuer.keys.shift();
  clock.advance(301_000);
  await get(token);
  t.equal(
    (await get(await issuer.sign(key, 'k1', { exp: NOW + 1_000 }))).status,
    401,
    'a key that was taken back is no new one',
  );
});

t.test('an issuer in trouble is answered 503, never 401', async (t) => {
  const { clock, issuer, key, gate, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  const token = () => issuer.sign(key, 'k1', {});
  for (const [name, fault] of Object.entries<Issuer['fault']>({
    500: (response) => response.writeHead(500).end(),
    302: (response) => response.writeHead(302, { location: '/' }).end(),
    404: (response) => response.writeHead(404).end(),
    nonsense: (response) => response.end('<html>'),
    'no keys': (response) => response.end('{"keys":[]}'),
    'a symmetric key': (response) => response.end('{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}'),
    'a cut connection': (response) => response.destroy(),
  })) {
    issuer.fault = fault;
    const answer = await get(await token());
    t.equal(answer.status, 503, name);
    t.match(
      gate.log.findLast(({ audit }) => audit !== undefined)?.cause,
      /./,
      `${name}: the audit line says why`,
    );
    t.ok(Number(answer.headers['retry-after']) >= 1);
    const again = issuer.reads();
    t.equal((await get(await token())).status, 503);
    t.equal(issuer.reads(), again, 'it is left alone for a while');
    clock.advance(3_000);
  }
  t.ok(gate.log.some(({ msg, cause }) => msg === 'call failed' && cause === 'it answered 500'));
  issuer.fault = undefined;
  t.equal((await get(await token())).status, 200);

  issuer.fault = (response) => response.writeHead(503, { 'retry-after': '7' }).end();
  t.equal((await get(await token())).status, 200, 'known keys outlive an outage');
  clock.advance(301_000);
  t.equal((await get(await token())).status, 200, 'even when they are no longer fresh');
  const unknown = await get(await issuer.sign(key, 'k9', {}));
  t.equal(unknown.status, 503, 'whether an unknown key is good nobody can say');
  t.equal(unknown.headers['retry-after'], '7');
  clock.advance(3_600_000);
  t.equal((await get(await token())).status, 503, 'but not for ever');
});

t.test('keys from a file, and from several sets', async (t) => {
  const clock = fakeClock(NOW);
  const [a, b] = [await startIssuer(clock.wall), await startIssuer(clock.wall)];
  const [ka, kb] = [await a.makeKey('a'), await b.makeKey('b')];
  t.teardown(() => Promise.all([a.close(), b.close()]));
  const file = join(t.testdir({}), 'jwks.json');
  writeFileSync(file, JSON.stringify({ keys: a.keys }));
  const config = { ...EC, jwks_urls: [pathToFileURL(file).href, b.url] };
  const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
  t.equal((await ask(gate, '/x', { token: await a.sign(ka, 'a', {}) })).status, 200);
  b.fault = (response) => response.destroy();
  t.equal((await ask(gate, '/x', { token: await b.sign(kb, 'b', {}) })).status, 503);
  t.equal((await ask(gate, '/x', { token: await a.sign(ka, 'a', {}) })).status, 200, 'one set is enough');
  const absent = await startTestGateway(t, {
    rules: rulesOf({ ...EC, jwks_urls: ['file:///nowhere/jwks.json'] }),
    clock,
  });
  t.equal((await ask(absent, '/x', { token: await a.sign(ka, 'a', {}) })).status, 503);
});

t.test('a token without a key id is tried with each key', async (t) => {
  const { clock, issuer, key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  await issuer.makeKey('k2');
  t.equal((await get(await issuer.sign(key, undefined as unknown as string, {}))).status, 200);
  const next = await issuer.makeKey('k4');
  issuer.keys.splice(0, 2);
  clock.advance(11_000);
  t.equal(
    (await get(await issuer.sign(next, undefined as unknown as string, {}))).status,
    200,
    'a rotated key',
  );
  const stranger = await issuer.makeKey('k3', 'ES256', false);
  t.equal((await get(await issuer.sign(stranger, undefined as unknown as string, {}))).status, 401);
});

t.test('Istio’s words: each issuer by its own keys, authorizations as alternatives', async (t) => {
  const clock = fakeClock(NOW);
  const [a, b] = [await startIssuer(clock.wall), await startIssuer(clock.wall)];
  const [ka, kb] = [await a.makeKey('k'), await b.makeKey('k')];
  t.teardown(() => Promise.all([a.close(), b.close()]));
  const config = {
    authentications: [
      { issuer: 'https://a.example', jwksUri: a.url, fromHeaders: [{ name: 'x-jwt' }] },
      { issuer: 'https://b.example', jwksUri: b.url, fromHeaders: [{ name: 'x-jwt' }] },
    ],
    authorizations: [{ requiredScopes: ['read'], audiences: ['one'] }, { requiredScopes: ['admin'] }],
  };
  const gate = await startTestGateway(t, { rules: rulesOf(config), clock });
  const status = async (token: string) => (await ask(gate, '/x', { headers: { 'x-jwt': token } })).status;
  const ofA = { iss: 'https://a.example' };
  t.equal(await status(await a.sign(ka, 'k', { ...ofA, scope: 'read', aud: 'one' })), 200);
  t.equal(await status(await a.sign(ka, 'k', { ...ofA, scope: 'admin' })), 200);
  t.equal(await status(await a.sign(ka, 'k', { ...ofA, scope: 'read' })), 403);
  t.equal(
    await status(await b.sign(kb, 'k', { iss: 'https://b.example', scope: 'admin' }, { alg: 'ES256' })),
    200,
  );
  const borrowed = await b.sign(kb, 'k', { ...ofA, scope: 'admin' }, { alg: 'ES256' });
  t.equal(await status(borrowed), 401, 'an issuer cannot speak for another one');
  t.equal((await ask(gate, '/x', { token: await a.sign(ka, 'k', { ...ofA, scope: 'admin' }) })).status, 401);
});
