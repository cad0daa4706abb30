import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompactEncrypt, type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';
import { startIntrospection } from '../../introspection.js';
import { startProvider } from './provider.js';

const SIGNED = 'application/token-introspection+jwt';
const SECRET = 'a-client-secret-that-is-long-enough-for-HS256';
const clientAuth = { method: 'basic', clientId: 'gateway', clientSecret: SECRET };

t.test('R9701-01 a real server is discovered, and its signed answers are taken', async (t) => {
  const asked: string[] = [];
  const provider = await startProvider(t, {
    gateway: {
      client_secret: SECRET,
      token_endpoint_auth_method: 'client_secret_basic',
      introspection_signed_response_alg: 'RS256',
    },
    tap: ({ url, headers }) => void asked.push(`${url} ${headers.accept}`),
  });
  const gate = await startTestGateway(t, {
    settings: {
      introspection: {
        url: undefined,
        issuer: provider.issuer,
        clientAuth,
        signed: { required: true },
      },
    },
  });
  const token = await provider.issue();
  const reply = await ask(gate, '/x', { token });
  t.same(asked, [
    '/.well-known/oauth-authorization-server application/json',
    `/token/introspection ${SIGNED}`,
    '/jwks application/json',
  ]);
  t.equal(reply.status, 200, JSON.stringify(gate.log));
});

/** An authorization server whose metadata, keys and answers a test dictates. */
async function start(t: Test, introspection: object = {}, more: object = {}) {
  const clock = fakeClock();
  const server = await startIntrospection();
  t.teardown(() => server.close());
  const issuer = new URL('/tenant', server.url).href;
  const keys = await generateKeyPair('ES256', { extractable: true });
  const other = await generateKeyPair('ES256', { extractable: true });
  const state = {
    server,
    clock,
    issuer,
    metadata: {
      issuer,
      introspection_endpoint: new URL('/introspect', server.url).href,
      jwks_uri: new URL('/keys', server.url).href,
    } as Record<string, unknown>,
    status: 200,
    reads: [] as string[],
    answer: async () => ({ type: SIGNED, text: await sign() }),
    sign,
    stranger: (claims: Record<string, unknown>) => sign(claims, {}, other.privateKey),
  };
  async function sign(
    claims: Record<string, unknown> = {},
    header: object = {},
    key = keys.privateKey,
  ): Promise<string> {
    return await new SignJWT({
      iss: issuer,
      aud: 'gateway',
      iat: Math.floor(clock.wall()),
      token_introspection: { active: true, scope: 'read', sub: 'alice' },
      ...claims,
    })
      .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'token-introspection+jwt', ...header })
      .sign(key);
  }
  server.fault = (message, response) => {
    const { pathname } = new URL(message.url ?? '/', issuer);
    state.reads.push(pathname);
    const send = (text: string, type = 'application/json', status = 200) =>
      void response.writeHead(status, { 'content-type': type }).end(text);
    if (pathname === '/keys') {
      void exportJWK(keys.publicKey).then((jwk) => send(JSON.stringify({ keys: [{ ...jwk, kid: 'k' }] })));
    } else if (pathname === '/.well-known/oauth-authorization-server/tenant') {
      send(JSON.stringify(state.metadata), 'application/json', state.status);
    } else if (pathname.startsWith('/introspect')) {
      void state.answer().then(({ text, type }) => send(text, type));
    } else send('{}', 'application/json', 404);
  };
  const gate = await startTestGateway(t, {
    clock,
    settings: {
      introspection: {
        url: undefined,
        issuer,
        clientAuth,
        signed: { required: true },
        breaker: { failures: 0 },
        ...introspection,
      },
      ...more,
    },
  });
  let next = 0;
  const status = async () => (await ask(gate, '/x', { token: `t${next++}` })).status;
  return Object.assign(state, { gate, get: status });
}

t.test('R9701-02 R9701-03 R9701-04 all but the server’s word, for us and now, is a fault', async (t) => {
  const server = await start(t);
  t.equal(await server.get(), 200);
  const now = Math.floor(server.clock.wall());
  const signed =
    (claims: Record<string, unknown>, header: object = {}) =>
    async () => ({
      type: SIGNED,
      text: await server.sign(claims, header),
    });
  const [head, , signature] = (await server.sign()).split('.');
  const forged = Buffer.from(
    JSON.stringify({ iss: server.issuer, aud: 'gateway', iat: now, token_introspection: { active: true } }),
  ).toString('base64url');
  const none = Buffer.from('{"alg":"none","typ":"token-introspection+jwt"}').toString('base64url');
  for (const [what, answer] of [
    ['plain JSON', async () => ({ type: 'application/json', text: '{"active":true,"scope":"read"}' })],
    ['plain JSON, called signed', async () => ({ type: SIGNED, text: '{"active":true,"scope":"read"}' })],
    ['signed, called plain', async () => ({ type: 'application/json', text: await server.sign() })],
    ['another type', signed({}, { typ: 'JWT' })],
    ['an access token', signed({}, { typ: 'at+jwt' })],
    ['no type', signed({}, { typ: undefined })],
    ['another issuer', signed({ iss: 'https://elsewhere.example' })],
    ['no issuer', signed({ iss: undefined })],
    ['another audience', signed({ aud: 'other' })],
    ['no audience', signed({ aud: undefined })],
    ['no iat', signed({ iat: undefined })],
    ['long ago', signed({ iat: now - 121 })],
    ['yet to come', signed({ iat: now + 121 })],
    ['no answer in it', signed({ token_introspection: undefined })],
    ['an answer that is no object', signed({ token_introspection: 'active' })],
    ['active as text', signed({ token_introspection: { active: 'true' } })],
    ['active beside the answer', signed({ active: true, token_introspection: { scope: 'read' } })],
    ['a stranger’s key', async () => ({ type: SIGNED, text: await server.stranger({}) })],
    ['a changed payload', async () => ({ type: SIGNED, text: `${head}.${forged}.${signature}` })],
    ['no signature', async () => ({ type: SIGNED, text: `${none}.${forged}.` })],
  ] as const) {
    server.answer = answer;
    const reply = await ask(server.gate, '/x', { token: what.replace(/\W/g, '') });
    t.equal(reply.status, 503, what);
    t.match(reply.headers['retry-after'], /^[1-9]/);
  }
  for (const [what, answer, status] of [
    ['inactive', signed({ token_introspection: { active: false } }), 401],
    ['the long name of the type', signed({}, { typ: SIGNED }), 200],
    ['a scope beside the answer', signed({ scope: 'read', token_introspection: { active: true } }), 403],
    ['one of several audiences', signed({ aud: ['other', 'gateway'] }), 200],
    ['a minute of skew', signed({ iat: now + 60 }), 200],
  ] as const) {
    server.answer = answer;
    t.equal(await server.get(), status, what);
  }
  const causes = server.gate.log.map(({ cause }) => String(cause));
  t.ok(causes.includes('the introspection answer is not signed'));
  t.notMatch(JSON.stringify(server.gate.log), /eyJ|alice@/, 'no answer in the log');
});

t.test('an answer that must be encrypted is so, for the gateway, with a signed one inside', async (t) => {
  const file = join(t.testdir({}), 'keys');
  const pairs = new Map<string, { publicKey: CryptoKey; privateKey: CryptoKey }>();
  for (const name of ['one', 'two', 'three']) {
    pairs.set(name, await generateKeyPair('ECDH-ES', { extractable: true }));
  }
  const keyOf = (name: string) => pairs.get(name) as { publicKey: CryptoKey; privateKey: CryptoKey };
  const hold = async (...names: string[]): Promise<void> => {
    const keys = await Promise.all(
      names.map(async (kid) => ({ ...(await exportJWK(keyOf(kid).privateKey)), kid })),
    );
    writeFileSync(file, JSON.stringify({ keys }));
  };
  await hold('one', 'two');
  const server = await start(t, { signed: { required: true, decryptionKeyFile: file } });
  const sealed = async (text: string, name = 'one', header: object = {}): Promise<string> =>
    await new CompactEncrypt(new TextEncoder().encode(text))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid: name, cty: 'JWT', ...header })
      .encrypt(keyOf(name).publicKey);
  const plain = JSON.stringify({ active: true, scope: 'read' });
  const good = await sealed(await server.sign());
  const [head = '', key, iv, text = '', tag] = good.split('.');
  const changed = text.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
  const secret = new Uint8Array(32);
  const shared = await new CompactEncrypt(new TextEncoder().encode(await server.sign()))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(secret);
  for (const [what, answer, cause] of [
    ['signed alone', await server.sign(), /is not encrypted/],
    ['plain JSON', plain, /is not encrypted/],
    ['nothing', '', /is not encrypted/],
    ['for another key', await sealed(await server.sign(), 'three'), /cannot be decrypted/],
    ['for another key by its name', await sealed(await server.sign(), 'one', { kid: 'two' }), /cannot be/],
    ['by a secret', shared, /cannot be decrypted/],
    ['changed', [head, key, iv, changed, tag].join('.'), /cannot be decrypted/],
    ['five parts of nothing', 'a.b.c.d.e', /cannot be decrypted/],
    ['compressed', await sealed(await server.sign(), 'one', { zip: 'DEF' }), /cannot be decrypted/],
    ['no signature inside', await sealed(plain), /cannot be verified/],
    ['a stranger’s inside', await sealed(await server.stranger({})), /cannot be verified/],
    ['encrypted twice', await sealed(good), /cannot be verified/],
    ['for another gateway inside', await sealed(await server.sign({ aud: 'other' })), /not for this gateway/],
  ] as const) {
    server.answer = async () => ({ type: SIGNED, text: answer });
    t.equal(await server.get(), 503, what);
    t.match(server.gate.log.findLast(({ msg }) => msg === 'introspection failed')?.cause, cause, what);
  }
  t.notMatch(JSON.stringify(server.gate.log), /eyJ/, 'no answer in the log');
  const answered = async (name: string, header: object = {}) => {
    const jwe = await sealed(await server.sign(), name, header);
    server.answer = async () => ({ type: SIGNED, text: jwe });
    return server.get();
  };
  t.equal(await answered('one'), 200);
  t.equal(await answered('two'), 200, 'either key, while they are rotated');
  t.equal(await answered('two', { kid: undefined }), 200, 'and where the server names none');
  t.equal(await answered('one', { alg: 'ECDH-ES+A256KW', enc: 'A128CBC-HS256' }), 200);
  await hold('three');
  t.equal(await answered('one'), 503, 'the file is read anew');
  t.equal(await answered('three'), 200);
});

t.test('metadata: of this issuer, to safe addresses, or nobody is asked', async (t) => {
  const server = await start(t, { signed: { required: false } });
  const good = server.metadata;
  server.answer = async () => ({ type: 'application/json', text: '{"active":true,"scope":"read"}' });
  for (const bad of [
    { ...good, issuer: 'https://elsewhere.example' },
    { ...good, issuer: `${server.issuer}/` },
    { ...good, introspection_endpoint: 'introspect' },
    { ...good, introspection_endpoint: 'file:///etc/passwd' },
    { ...good, introspection_endpoint: 7 },
    null,
    [],
  ]) {
    server.metadata = bad as Record<string, unknown>;
    const reply = await ask(server.gate, '/x', { token: 't' });
    t.equal(reply.status, 503, JSON.stringify(bad));
    t.notOk(server.reads.includes('/introspect'), 'the token went nowhere');
  }
  server.status = 404;
  t.equal(await server.get(), 503);
  t.equal(server.reads.at(-1), '/tenant/.well-known/openid-configuration', 'the other place was tried');
  server.status = 500;
  t.equal(await server.get(), 503);
  server.status = 200;
  server.metadata = { ...good, introspection_endpoint: undefined };
  t.equal(await server.get(), 503, 'no endpoint at all');
  server.metadata = good;
  server.clock.advance(10_000);
  t.equal(await server.get(), 200, 'and it recovers');
});

t.test('metadata is read anew in the background; what is known goes on while it cannot be', async (t) => {
  const server = await start(t, { signed: { required: false } });
  server.answer = async () => ({ type: 'application/json', text: '{"active":true,"scope":"read"}' });
  const path = '/.well-known/oauth-authorization-server/tenant';
  const looks = () => server.reads.filter((read) => read === path).length;
  const looked = async (count: number): Promise<void> => {
    for (let i = 0; i < 500 && looks() < count; i++) await new Promise((done) => setImmediate(done));
    // The answer's own way back.
    for (let i = 0; i < 50; i++) await new Promise((done) => setImmediate(done));
  };
  t.same([await server.get(), await server.get()], [200, 200]);
  t.equal(looks(), 1, 'once for all');
  server.status = 500;
  server.clock.advance(300_000);
  t.equal(await server.get(), 200);
  await looked(2);
  t.equal(await server.get(), 200, 'the look failed; the address is still known');
  t.equal(looks(), 2, 'and the next look waits');
  server.status = 200;
  server.metadata.introspection_endpoint = new URL('/introspect-2', server.server.url).href;
  server.clock.advance(10_000);
  t.equal(await server.get(), 200);
  await looked(3);
  t.equal(await server.get(), 200);
  t.equal(server.reads.at(-1), '/introspect-2', 'the new address counts');
});
