import type { CryptoKey } from 'jose';
import t from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { EC, NOW, start } from './jwt-setup.js';

t.test('a token that is no JWT is left to the rule’s next strategy', async (t) => {
  const clock = fakeClock(NOW);
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k1');
  t.teardown(() => issuer.close());
  const rules = apiRule('gate.example', [
    {
      path: '/.*',
      methods: ['GET'],
      accessStrategies: [
        { handler: 'jwt', config: { ...EC, jwks_urls: [issuer.url] } },
        { handler: 'oauth2_introspection', config: { required_scope: ['read'] } },
      ],
    },
  ]);
  const gate = await startTestGateway(t, { rules, clock });
  t.equal((await ask(gate, '/x', { token: await issuer.sign(key, 'k1', {}) })).status, 200);
  t.same(gate.endpoint.asked, []);
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  t.same(gate.endpoint.asked, ['good-read']);
});

t.test('R9701-05 a signed introspection answer is no access token', async (t) => {
  const { issuer, key, get } = await start(t, ({ url }) => ({
    jwks_urls: [url],
    allowed_algorithms: ['ES256'],
  }));
  const claims = { sub: 'alice', token_introspection: { active: true, scope: 'read' } };
  t.equal((await get(await issuer.sign(key, 'k1', claims))).status, 200, 'but for its type');
  for (const typ of ['token-introspection+jwt', 'application/token-introspection+jwt']) {
    const reply = await get(await issuer.sign(key, 'k1', claims, { typ }));
    t.equal(reply.status, 401, typ);
    t.equal(reply.reason, 'the token is not an access token');
  }
});

t.test('an ID token is no access token, unless the rule says that it takes them', async (t) => {
  const { issuer, key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  const logout = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const marks: readonly object[] = [
    { at_hash: 'x' },
    { c_hash: 'x' },
    { s_hash: 'x' },
    { nonce: 'x' },
    { at_hash: '', aud: 'client' },
    { nonce: 'x', client_id: 'c', scope: 'read' },
    { at_hash: 'x', token_use: 'access_token' },
    { typ: 'ID' },
    { typ: 'Refresh' },
    { typ: 'Offline' },
    { typ: 'Logout' },
    { events: logout },
  ];
  for (const typ of ['JWT', 'at+jwt']) {
    for (const claims of marks) {
      const token = await issuer.sign(key, 'k1', { sub: 'a', ...claims }, { typ });
      const answer = await get(token);
      t.equal(answer.status, 401, `${typ}: ${JSON.stringify(claims)}`);
      t.match(answer.reason, /^the token is not an access token/);
      t.match(answer.headers['www-authenticate'], 'error="invalid_token"');
    }
    for (const claims of [
      {},
      { typ: 'Bearer' },
      // Keycloak before 25 puts the nonce into access tokens, which say that they are that.
      { typ: 'Bearer', nonce: 'x' },
      { nonce: null, at_hash: null },
      { sid: 's', auth_time: 1, acr: '1' },
      { events: {} },
    ]) {
      const token = await issuer.sign(key, 'k1', { sub: 'a', ...claims }, { typ });
      t.equal((await get(token)).status, 200, `${typ}: ${JSON.stringify(claims)}`);
    }
  }
  for (const use of ['id', 'id_token']) {
    const open = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url], allowed_token_use: [use] }));
    const cognito = { sub: 'a', token_use: use, at_hash: 'x', nonce: 'y' };
    t.equal((await open.get(await open.issuer.sign(open.key, 'k1', cognito))).status, 200, use);
  }
});

/** Signs any text as a payload: what JSON.stringify cannot write. */
async function signRaw(key: CryptoKey, header: object, payload: string): Promise<string> {
  const encode = (text: string) => Buffer.from(text).toString('base64url');
  const input = `${encode(JSON.stringify({ alg: 'ES256', kid: 'k1', ...header }))}.${encode(payload)}`;
  const signature = await crypto.subtle.sign(
    { name: 'ECDSA', hash: 'SHA-256' },
    key,
    new TextEncoder().encode(input),
  );
  return `${input}.${Buffer.from(signature).toString('base64url')}`;
}

t.test('a time that is no finite number is none', async (t) => {
  const { key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  t.equal((await get(await signRaw(key, {}, `{"sub":"a","exp":${NOW + 60}}`))).status, 200);
  t.equal((await get(await signRaw(key, {}, `{"sub":"a","exp":${NOW + 60},"nbf":1e0}`))).status, 200);
  for (const payload of [
    '{"sub":"a","exp":1e400}',
    '{"sub":"a","exp":-1e400}',
    `{"sub":"a","exp":${NOW + 60},"nbf":-1e400}`,
    `{"sub":"a","exp":${NOW + 60},"nbf":1e400}`,
    `{"sub":"a","exp":${NOW + 60},"iat":1e400}`,
    `{"sub":"a","exp":${NOW + 60},"iat":-1e400}`,
    `{"sub":"a","exp":${NOW + 60},"iat":"1"}`,
  ]) {
    const answer = await get(await signRaw(key, {}, payload));
    t.equal(answer.status, 401, payload);
    t.match(answer.headers['www-authenticate'], 'error="invalid_token"');
  }
});

t.test('a header that a library might read in another way is refused', async (t) => {
  const { key, get } = await start(t, ({ url }) => ({ ...EC, jwks_urls: [url] }));
  const payload = `{"sub":"a","exp":${NOW + 60}}`;
  t.equal((await get(await signRaw(key, { b64: true }, payload))).status, 200);
  for (const header of [
    { b64: false },
    { b64: 'false' },
    { b64: null },
    { b64: 0 },
    { b64: false, crit: ['b64'] },
    { b64: false, crit: [] },
    { crit: ['exp'] },
  ]) {
    t.equal((await get(await signRaw(key, header, payload))).status, 401, JSON.stringify(header));
  }
});

t.test('mutators find the scopes of a JWT as the list scp, whichever claim says them', async (t) => {
  const clock = fakeClock(NOW);
  const issuer = await startIssuer(clock.wall);
  t.teardown(() => issuer.close());
  const key = await issuer.makeKey('k1', 'ES256');
  const headers = {
    'X-Scp': '{{ toJson .Extra.scp }}',
    'X-First': '{{ printIndex .Extra.scp 0 }}',
    'X-Scope': '{{ .Extra.scope }}',
  };
  const rules = apiRule('gate.example', [
    {
      path: '/.*',
      methods: ['GET'],
      accessStrategies: [{ handler: 'jwt', config: { ...EC, jwks_urls: [issuer.url] } }],
      mutators: [{ handler: 'header', config: { headers } }],
    },
  ]);
  const gate = await startTestGateway(t, { rules, clock });
  for (const claims of [{ scope: 'read list' }, { scp: ['read', 'list'] }, { scopes: ['read', 'list'] }]) {
    const token = await issuer.sign(key, 'k1', { sub: 'alice', ...claims });
    t.equal((await ask(gate, '/x', { token })).status, 200);
    t.match(gate.upstream.received.at(-1)?.headers, { 'x-scp': '["read","list"]', 'x-first': 'read' });
  }
  t.equal((await ask(gate, '/x', { token: await issuer.sign(key, 'k1', { sub: 'alice' }) })).status, 200);
  t.match(gate.upstream.received.at(-1)?.headers, { 'x-scp': '[]', 'x-first': '' });
});
