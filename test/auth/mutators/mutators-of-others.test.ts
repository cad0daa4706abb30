import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import t from 'tap';
import { signingKeys } from '../../../src/auth/mutators/chain.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';
import { FAULTS, json, startStore } from '../../store.js';
import { cookie, header, start, TOKENS } from './mutators-setup.js';

t.test('id_token puts a token of the gateway’s own in place of the client’s', async (t) => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const { privateKey: older } = await generateKeyPair('RS256', { extractable: true });
  const file = join(t.testdir({}), 'keys.json');
  const keys = [
    { ...(await exportJWK(privateKey)), kid: 'new' },
    { ...(await exportJWK(older)), kid: 'old', alg: 'RS256' },
  ];
  writeFileSync(file, JSON.stringify({ keys }));
  const config = {
    issuer_url: 'https://gate.example/',
    jwks_url: pathToFileURL(file).href,
    ttl: '60s',
    claims: '{"aud": ["up"], "role": "{{ print .Extra.role }}", "iss": "x", "sub": "{{ .Extra.client_id }}"}',
  };
  const rules = apiRule('gate.example', [
    rule('/in', ['GET'], 'read', { mutators: [{ handler: 'id_token', config }] }),
    rule('/out', ['GET'], 'read'),
  ]);
  const clock = fakeClock();
  const gate = await startTestGateway(t, { rules, tokens: TOKENS, clock });
  const path = join(t.testdirName, 'rules.yaml');
  writeFileSync(path, rules);
  const { table } = loadRules([path], options);
  const published = signingKeys((table?.rules ?? []).map(({ mutators }) => mutators));
  t.same(
    published.keys.map(({ kid, alg, d }) => [kid, alg, d]),
    [
      ['new', 'ES256', undefined],
      ['old', 'RS256', undefined],
    ],
    'public halves alone',
  );

  const open = await ask({ url: gate.gateway.adminUrl }, '/.well-known/jwks.json');
  t.same(JSON.parse(open.text), published, 'on the admin port, for upstreams');
  t.equal(open.headers['content-type'], 'application/jwk-set+json; charset=utf-8');

  const token = async () => {
    t.equal((await ask(gate, '/in', { token: 'alice' })).status, 200);
    return String(gate.upstream.received.at(-1)?.headers.authorization).replace('Bearer ', '');
  };
  const first = await token();
  const { payload, protectedHeader } = await jwtVerify(first, createLocalJWKSet(published as never), {
    currentDate: new Date(clock.wall() * 1000),
  });
  t.equal(protectedHeader.kid, 'new');
  const now = Math.floor(clock.wall());
  t.match(payload, { iss: 'https://gate.example/', sub: 'alice', aud: ['up'], role: 'admin', exp: now + 60 });
  t.equal(await token(), first, 'used again');
  clock.advance(31_000);
  t.not(await token(), first, 'but not for all of its life');
  t.equal((await ask(gate, '/out', { token: 'alice' })).status, 200);
  t.equal(gate.upstream.received.at(-1)?.headers.authorization, 'Bearer alice', 'elsewhere the client’s own');
});

t.test(
  'id_token without a key signs with one of the process, which is published and outlives a reload',
  async (t) => {
    const rules = apiRule('gate.example', [
      rule('/mine', ['GET'], 'read', { mutators: [{ handler: 'id_token' }] }),
      rule('/named', ['GET'], 'read', {
        mutators: [
          { handler: 'id_token', config: { issuer_url: 'https://gate.example/', claims: '{"a": 1}' } },
        ],
      }),
    ]);
    const clock = fakeClock();
    const gate = await startTestGateway(t, { rules, tokens: TOKENS, clock });
    const keys = async () =>
      JSON.parse((await ask({ url: gate.gateway.adminUrl }, '/.well-known/jwks.json')).text);
    const published = await keys();
    t.equal(published.keys.length, 1, 'one for all rules');
    t.match(published.keys[0], { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid: String });
    t.notOk('d' in published.keys[0], 'the public half alone');
    const verified = async (path: string) => {
      t.equal((await ask(gate, path, { token: 'alice' })).status, 200);
      const token = String(gate.upstream.received.at(-1)?.headers.authorization).replace('Bearer ', '');
      return (
        await jwtVerify(token, createLocalJWKSet(published), { currentDate: new Date(clock.wall() * 1000) })
      ).payload;
    };
    t.match(await verified('/mine'), { iss: 'scopegate', sub: 'alice' });
    t.match(await verified('/named'), { iss: 'https://gate.example/', sub: 'alice', a: 1 });

    const path = join(t.testdir({ 'r.yaml': rules }), 'r.yaml');
    const { table, findings } = loadRules([path], options);
    t.same(
      signingKeys((table?.rules ?? []).map(({ mutators }) => mutators)),
      published,
      'the same after a reload',
    );
    t.match(
      findings.map(({ level, code, message }) => `${level} ${code} ${message}`),
      [
        /^warning temporary-signing-key .*mutators\.0: tokens are signed with a key .*as the issuer "scopegate": .* set kyma\.idToken/,
        /^warning temporary-signing-key .*mutators\.0\.config: tokens are signed with a key that scopegate makes when it starts: /,
      ],
    );
  },
);

t.test('hydrator lets a service say more of the subject', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  const config = {
    api: { url: `${store.url}/hydrate`, auth: { basic: { username: 'u', password: 'p' } } },
    cache: { enabled: true, ttl: '30s' },
  };
  const mutators = [{ handler: 'hydrator', config }, header({ 'X-Team': '{{ .Extra.team }}' })];
  const clock = fakeClock();
  const rules = apiRule('gate.example', [
    rule('/(a|b)', ['GET'], 'read', { mutators }),
    rule('/fresh', ['GET'], 'read', { mutators: [{ handler: 'hydrator', config: { api: config.api } }] }),
  ]);
  const gate = await startTestGateway(t, { rules, tokens: TOKENS, clock });
  store.respond = (_message, response, body) => {
    const session = JSON.parse(body);
    response.end(JSON.stringify({ ...session, extra: { ...session.extra, team: 'blue' } }));
  };
  t.equal((await ask(gate, '/a?x=1', { token: 'alice' })).status, 200);
  t.equal(gate.upstream.received[0]?.headers['x-team'], 'blue');
  const { message, body } = store.calls[0] as (typeof store.calls)[number];
  t.equal(message.headers.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`);
  t.match(JSON.parse(body), {
    subject: 'alice',
    extra: { client_id: 'c' },
    match_context: { regexp_capture_groups: ['a'], method: 'GET', url: { Path: '/a', RawQuery: 'x=1' } },
  });
  t.equal((await ask(gate, '/a?x=1', { token: 'alice' })).status, 200);
  t.equal(store.calls.length, 1, 'kept');
  clock.advance(31_000);
  t.equal((await ask(gate, '/a?x=1', { token: 'alice' })).status, 200);
  t.equal(store.calls.length, 2);

  for (const [name, fault] of Object.entries({
    ...FAULTS,
    401: json({}, 401),
    'another subject': json({ subject: 'root', extra: {} }),
    'a field of the gateway’s': json({ subject: 'alice', extra: {}, header: { Host: ['1'] } }),
    'a field that is no text': json({ subject: 'alice', extra: {}, header: { 'X-A': [1] } }),
    'a list': json([]),
    'an extra that is no object': json({ subject: 'alice', extra: 'x' }),
  })) {
    store.respond = fault;
    const answer = await ask(gate, '/fresh', { token: 'alice' });
    t.equal(answer.status, 503, name);
    t.ok(answer.headers['retry-after']);
  }
  t.equal(gate.upstream.received.length, 3, 'nothing went on without it');
});

t.test('hydrator may set header fields, which are then nobody else’s to set', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  const hydrator = (more: object) => ({
    handler: 'hydrator',
    config: { api: { url: `${store.url}/h?own=1` }, ...more },
  });
  const gate = await start(t, [
    rule('/any', ['GET'], 'read', { mutators: [hydrator({})] }),
    rule('/named', ['GET'], 'read', { mutators: [hydrator({ headers: ['X-Team'] })] }),
    rule('/out', ['GET'], 'read'),
  ]);
  const answer = (header: object) => {
    store.respond = json({ subject: 'alice', extra: {}, header });
  };
  const sent = async (path: string) => {
    const headers = { 'x-team': 'forged', 'x-crew': 'forged', X_Crew: 'forged' };
    const { status } = await ask(gate, path, { token: 'alice', headers });
    return status === 200 ? gate.upstream.received.at(-1)?.headers : status;
  };
  answer({ 'X-Crew': ['blue', 'red'] });
  t.match(await sent('/any?a=b&OWN=2&c=%2612'), { 'x-crew': 'blue, red' });
  t.equal(store.calls[0]?.message.url, '/h?own=1&a=b&c=%2612', 'the query, but for what the URL says itself');
  answer({});
  t.notOk(
    Object.hasOwn((await sent('/any')) as object, 'x-crew'),
    'a client’s copy does not stand in for it',
  );
  answer({ 'X-Team': ['blue'] });
  t.match(await sent('/named'), { 'x-team': 'blue' });
  t.notOk(Object.hasOwn((await sent('/out')) as object, 'x-team'), 'reserved on every rule');
  answer({ 'X-Crew': ['blue'] });
  t.equal(await sent('/named'), 503, 'not one of those that the rule names');
  for (const name of ['Host', 'Content-Length', 'Cookie', 'X-Forwarded-For', 'a b']) {
    answer({ [name]: ['x'] });
    t.equal(await sent('/any'), 503, name);
  }
  answer({ 'X-Crew': ['a\r\nX-Admin: 1'] });
  t.equal(await sent('/any'), 500);
});

t.test('what a mutator may not do is an error at load, with its place', (t) => {
  const findings = (mutator: object) => {
    const folder = t.testdir({
      'r.yaml': apiRule('gate.example', [rule('/', ['GET'], 'read', { mutators: [mutator] })]),
      'public.json': JSON.stringify({ keys: [{ kty: 'RSA', n: 'x', e: 'AQAB' }] }),
      'short.json': '{"keys": []}',
    });
    return loadRules([join(folder, 'r.yaml')], options).findings.map(
      ({ code, message }) => `${code} ${message}`,
    );
  };
  const idToken = (more: object) => ({ handler: 'id_token', config: { issuer_url: 'i', ...more } });
  for (const [mutator, expected] of [
    [header({ 'X-A': '{{ if .Subject }}' }), /^invalid-value .*\.mutators\.0\.config\.headers\.X-A: .*"if"/],
    [header({ Host: 'x' }), /^invalid-value .*a rule cannot set Host: /],
    [header({ 'Transfer-Encoding': 'x' }), /a rule cannot set/],
    [header({ 'X-Forwarded-For': 'x' }), /a rule cannot set/],
    [header({ Cookie: 'x' }), /use the mutator cookie for cookies/],
    [header({ 'X A': 'x' }), /^invalid-value/],
    [header({ 'X-A': 'x', 'x-a': 'y' }), /given twice/],
    [cookie({ a: 'x', A: 'y' }), /another cookie in this list/],
    [{ handler: 'header' }, /^missing-field/],
    [{ handler: 'headr' }, /^unknown-mutator .*did you mean "header"/],
    [{ handler: 'noop', config: { x: 1 } }, /^unknown-field/],
    [idToken({}), /^temporary-signing-key/],
    [
      { handler: 'id_token', config: { jwks_url: 'file:///keys.json' } },
      /^invalid-value .*must have the field "issuer_url" next to jwks_url; or remove jwks_url and set kyma\.idToken/,
    ],
    [idToken({ jwks_url: 'https://x/keys' }), /a private key must not come over the network/],
    [idToken({ jwks_url: 'file:///nowhere.json' }), /the key file does not exist$/],
    [idToken({ jwks_url: pathToFileURL(join(t.testdirName, 'public.json')).href }), /has no private/],
    [idToken({ jwks_url: pathToFileURL(join(t.testdirName, 'short.json')).href }), /has no private/],
    [{ handler: 'hydrator', config: { api: { url: 'ftp://x' } } }, /^invalid-value/],
    [
      { handler: 'hydrator', config: { api: { url: 'http://x' }, headers: ['Via'] } },
      /sets this field itself/,
    ],
    [
      { handler: 'hydrator', config: { api: { url: 'http://x', retry: { give_up_after: '2m' } } } },
      /at most 1m/,
    ],
  ] as const) {
    const found = findings(mutator);
    t.equal(found.length, 1, JSON.stringify(mutator));
    t.match(found[0], expected);
  }
  t.end();
});
