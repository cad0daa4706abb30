import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import t, { type Test } from 'tap';
import { signingKeys } from '../../../src/auth/mutators/chain.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';
import { FAULTS, json, startStore } from '../../store.js';

const TOKENS = {
  alice: { scope: 'read', sub: 'alice', client_id: 'c', ext: { role: 'admin', tenant: 'ü' } },
  evil: { scope: 'read', sub: 'a\r\nX-Admin: yes', client_id: 'c' },
  wide: { scope: 'read', sub: '\u0141ukasz', client_id: 'c' },
  nul: { scope: 'read', sub: 'a\0b', client_id: 'c' },
};

const header = (headers: object) => ({ handler: 'header', config: { headers } });
const cookie = (cookies: object) => ({ handler: 'cookie', config: { cookies } });

/** A text as Node shows its UTF-8, octet by octet. */
const octets = (text: string) => Buffer.from(text).toString('latin1');

function start(t: Test, rules: readonly object[]) {
  return startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: TOKENS, clock: fakeClock() });
}

t.test('header sets what the token says, in place of what the client says', async (t) => {
  const gate = await start(t, [
    rule('/in/([a-z]+)', ['GET'], 'read', {
      mutators: [
        { handler: 'noop' },
        header({
          'X-Who': '{{ print .Subject }}',
          'X-Role': '{{ .Extra.role }}',
          'X-Tenant': '{{ .Extra.tenant }}',
          'X-Part': 'p-{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}',
          'X-None': '{{ .Extra.none }}',
          Accept: 'text/plain',
        }),
        header({ 'x-part': 'again' }),
      ],
    }),
    rule('/out', ['GET'], 'read'),
    { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] },
  ]);
  const forged = {
    'x-who': 'root',
    'X-ROLE': 'root',
    'x-tenant': 'root',
    'x-part': 'root',
    'x-none': 'root',
    x_who: 'root',
    accept: 'image/png',
    'x-mine': 'kept',
  };
  t.equal((await ask(gate, '/in/abc', { token: 'alice', headers: forged })).status, 200);
  const sent = gate.upstream.received[0]?.headers ?? {};
  t.match(sent, {
    'x-who': 'alice',
    'x-role': 'admin',
    'x-tenant': octets('ü'),
    'x-part': 'again',
    'x-none': '',
  });
  t.match(sent, { accept: 'text/plain', 'x-mine': 'kept', authorization: 'Bearer alice' });
  t.notMatch(JSON.stringify(gate.upstream.received[0]?.rawHeaders), 'root');

  for (const [path, question] of [
    ['/out', { token: 'alice' }],
    ['/open', {}],
  ] as const) {
    t.equal((await ask(gate, path, { ...question, headers: forged })).status, 200);
    const last = gate.upstream.received.at(-1);
    t.notMatch(JSON.stringify(last?.rawHeaders), 'root', `${path}: nobody else may say it either`);
    t.equal(last?.headers.accept, 'image/png', 'what is no statement stays the client’s');
  }
});

t.test('a value that could end a field is never sent', async (t) => {
  const gate = await start(t, [
    rule('/header', ['GET'], 'read', { mutators: [header({ 'X-Who': '{{ .Subject }}' })] }),
    rule('/cookie', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }}' })] }),
    rule('/two', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }}; admin=1' })] }),
    rule('/comma', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }},admin=1' })] }),
  ]);
  for (const [path, token] of [
    ['/header', 'evil'],
    ['/header', 'nul'],
    ['/cookie', 'evil'],
    ['/cookie', 'nul'],
    ['/two', 'alice'],
    ['/comma', 'alice'],
  ] as const) {
    const answer = await ask(gate, path, { token });
    t.equal(answer.status, 500, `${path} ${token}`);
    t.notMatch(answer.text, 'yes');
  }
  t.equal(gate.upstream.received.length, 0);
});

t.test('names of all languages are sent as the settings say, at both ports', async (t) => {
  const rules = apiRule('gate.example', [
    rule('/in', ['GET'], 'read', {
      mutators: [header({ 'X-Who': '{{ .Subject }}' }), cookie({ who: '{{ .Subject }} two' })],
    }),
    rule('/out', ['GET'], 'read'),
  ]);
  const described = (path: string) => ({
    'x-forwarded-method': 'GET',
    'x-forwarded-host': 'gate.example',
    'x-forwarded-uri': path,
  });
  for (const [fieldEncoding, who, pair] of [
    [undefined, octets('\u0141ukasz'), `who="${octets('\u0141ukasz')} two"`],
    ['percent', '%C5%81ukasz', 'who="%C5%81ukasz two"'],
    ['refuse', undefined, undefined],
  ] as const) {
    const gate = await startTestGateway(t, {
      rules,
      tokens: TOKENS,
      settings: fieldEncoding === undefined ? {} : { forward: { fieldEncoding } },
    });
    const expected = who === undefined ? 500 : 200;
    const sent = await ask(gate, '/in', { token: 'wide' });
    t.equal(sent.status, expected, `${fieldEncoding}: proxy port`);
    const last = gate.upstream.received.at(-1)?.headers;
    t.equal(last?.['x-who'], who);
    t.equal(last?.cookie, pair);
    for (const path of ['/in', '/out']) {
      const told = await ask({ url: gate.adminUrl }, '/decisions', {
        token: 'wide',
        headers: described(path),
      });
      t.equal(told.status, expected, `${fieldEncoding}: decisions ${path}`);
      t.equal(told.headers['x-user'], who, 'the identity field');
      if (path === '/in') t.match(told.headers, who === undefined ? {} : { 'x-who': who, cookie: pair });
    }
  }
});

t.test('the session is Oathkeeper’s: ext is lifted once, and never speaks for the server', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const file = join(t.testdir({}), 'keys.json');
  writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(privateKey)), kid: 'k' }] }));
  const idToken = {
    handler: 'id_token',
    config: {
      issuer_url: 'i',
      jwks_url: pathToFileURL(file).href,
      claims: '{"ext": {{ .Extra | toJson }}, "role": "{{ index .Extra "role" }}"}',
    },
  };
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/in', ['GET'], 'read', {
        mutators: [
          header({
            'X-All': '{{ .Extra | toJson }}',
            'X-Role': '{{ index .Extra "role" }}',
            'X-Claim': '{{ index .Extra "example.com/claim" }}',
            'X-Client': '{{ .Extra.client_id }}{{ index .Extra "username" }}',
            'X-Sub': '{{ .Extra.sub }}',
            'X-Iss': '{{ .Extra.iss }}',
          }),
          idToken,
          { handler: 'hydrator', config: { api: { url: `${store.url}/h` } } },
          header({ 'X-After': '{{ .Extra | toJson }}{{ .Extra.iss }}' }),
        ],
      }),
    ]),
    tokens: {
      good: {
        sub: 'carol',
        client_id: 'cli',
        scope: 'read',
        aud: 'api',
        iss: 'https://issuer.example',
        ext: { role: 'admin', 'example.com/claim': ['x'], sub: 'root', aud: ['evil'] },
      },
      silent: {
        sub: 'carol',
        scope: 'read',
        ext: { client_id: 'evil', username: 'root', scope: 'admin', aud: ['evil'] },
      },
    },
  });
  store.respond = (_message, response, body) => {
    response.end(JSON.stringify({ ...JSON.parse(body), extra: { only: 'this' } }));
  };
  t.equal((await ask(gate, '/in', { token: 'good' })).status, 200);
  const whole = {
    role: 'admin',
    'example.com/claim': ['x'],
    sub: 'carol',
    username: '',
    client_id: 'cli',
    scope: 'read',
    aud: ['api'],
  };
  const sent = gate.upstream.received[0]?.headers ?? {};
  t.same(JSON.parse(String(sent['x-all'])), whole);
  t.match(sent, { 'x-role': 'admin', 'x-claim': '[x]', 'x-client': 'cli', 'x-sub': 'carol' });
  t.equal(sent['x-iss'], 'https://issuer.example', 'what Oathkeeper leaves out is found by its name');
  const claims = JSON.parse(
    Buffer.from(String(sent.authorization).split('.')[1] ?? '', 'base64url').toString(),
  );
  t.match(claims, { role: 'admin', ext: whole, sub: 'carol' });
  t.same(JSON.parse(store.calls[0]?.body ?? '').extra, whole);
  t.equal(sent['x-after'], '{"only":"this"}', 'a hydrator replaces all of it');

  t.equal((await ask(gate, '/in', { token: 'silent' })).status, 200);
  t.match(gate.upstream.received[1]?.headers, {
    'x-all': '{"username":"","client_id":"","scope":"read"}',
    'x-client': '',
  });
});

t.test('cookie sets cookies beside the client’s own', async (t) => {
  const gate = await start(t, [
    rule('/in', ['GET'], 'read', {
      mutators: [cookie({ who: '{{ .Subject }}', role: '{{ .Extra.role }}' })],
    }),
    rule('/out', ['GET'], 'read'),
  ]);
  const sent = async (path: string, value?: string) => {
    const headers = value === undefined ? {} : { cookie: value };
    t.equal((await ask(gate, path, { token: 'alice', headers })).status, 200);
    return gate.upstream.received.at(-1)?.headers.cookie;
  };
  t.equal(await sent('/in', 'a=1; who=root; b=2; WHO=root'), 'a=1; b=2; who=alice; role=admin');
  t.equal(await sent('/in'), 'who=alice; role=admin');
  t.equal(await sent('/out', 'a=1; who=root; x="; role=root"'), 'a=1; x="');
  t.equal(await sent('/out', 'who=root'), undefined);
});

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
        /^warning temporary-signing-key .*mutators\.0: tokens are signed with a key .*as the issuer "scopegate": .* write the setting kyma\.idToken/,
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
    [cookie({ a: 'x', A: 'y' }), /for another cookie of this list/],
    [{ handler: 'header' }, /^missing-field/],
    [{ handler: 'headr' }, /^unknown-mutator .*did you mean "header"/],
    [{ handler: 'noop', config: { x: 1 } }, /^unknown-field/],
    [idToken({}), /^temporary-signing-key/],
    [
      { handler: 'id_token', config: { jwks_url: 'file:///keys.json' } },
      /^invalid-value .*must have the field "issuer_url", beside jwks_url; the setting kyma\.idToken/,
    ],
    [idToken({ jwks_url: 'https://x/keys' }), /a private key must not come over the network/],
    [idToken({ jwks_url: 'file:///nowhere.json' }), /cannot be read: ENOENT/],
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
