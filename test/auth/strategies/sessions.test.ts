import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { formatFinding } from '../../../src/document/finding.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';
import { FAULTS, json, type Store, startStore } from '../../store.js';
import { sendRaw } from '../../wire.js';

/** A gateway with one rule, and a store for its sessions. */
async function start(
  t: Test,
  handler: string,
  config: (store: Store) => object,
  more: object[] = [],
  settings: Readonly<Record<string, unknown>> = {},
) {
  const store = await startStore();
  t.teardown(() => store.close());
  const strategies = [{ handler, config: config(store) }, ...more];
  const rules = apiRule('gate.example', [
    { path: '/.*', methods: ['GET', 'POST', 'HEAD'], accessStrategies: strategies },
  ]);
  return { store, gate: await startTestGateway(t, { rules, settings }) };
}

t.test('cookie_session shows the cookies to the session store', async (t) => {
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({
    check_session_url: `${url}/sessions/whoami?x=1`,
    only: ['ory_kratos_session', 'other'],
    preserve_path: true,
    preserve_host: true,
    force_method: 'GET',
    subject_from: 'identity.id',
    extra_from: '@this',
    additional_headers: { 'X-Key': 'k' },
    forward_http_headers: ['X-Device'],
  }));
  store.respond = json({ identity: { id: 'alice' }, roles: ['a'] });
  const answer = await ask(gate, '/x?q=2', {
    method: 'POST',
    body: 'text',
    headers: {
      cookie: 'a=1; ory_kratos_session=s',
      'x-device': 'd',
      'x-other': 'o',
      authorization: 'Basic x',
    },
  });
  t.equal(answer.status, 200);
  const [call] = store.calls;
  t.equal(call?.message.method, 'GET');
  t.equal(call?.message.url, '/sessions/whoami?x=1');
  t.equal(call?.body, '');
  const {
    cookie,
    authorization,
    'x-device': device,
    'x-key': key,
    'x-other': other,
  } = call?.message.headers ?? {};
  t.same(
    [cookie, authorization, device, key, other],
    ['a=1; ory_kratos_session=s', undefined, 'd', 'k', undefined],
  );
  t.equal(call?.message.headers['x-forwarded-host'], 'gate.example');
  t.equal(gate.log.find(({ subject }) => subject !== undefined)?.subject, 'alice');

  store.respond = json({ error: {} }, 401);
  t.equal((await ask(gate, '/x', { headers: { cookie: 'other=1' } })).status, 401);
  t.equal((await ask(gate, '/x', { headers: { cookie: 'third=1' } })).status, 401, 'none of the cookies');
  t.equal((await ask(gate, '/x')).status, 401);
  t.equal(store.calls.length, 2, 'without such a cookie nobody is asked');
});

t.test('by default the request’s own path and method are checked', async (t) => {
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({
    check_session_url: `${url}/check?keep=1`,
  }));
  store.respond = json({ subject: 'a', extra: { b: 1 } });
  const cookie = { cookie: 's=1' };
  await ask(gate, '/a/b?q=1', { headers: cookie, method: 'POST' });
  await ask(gate, '/a/b', { headers: cookie, method: 'HEAD' });
  t.same(
    store.calls.map(({ message }) => `${message.method} ${message.url}`),
    ['POST /a/b?keep=1', 'GET /a/b?keep=1'],
  );
  const queries = await start(t, 'cookie_session', ({ url }) => ({
    check_session_url: url,
    preserve_query: false,
  }));
  queries.store.respond = json({});
  t.equal((await ask(queries.gate, '/a?q=1', { headers: cookie })).status, 200);
  t.equal(queries.store.calls[0]?.message.url, '/a?q=1');
});

t.test('a forwarded field is what its name and value say, whatever an object has of that name', async (t) => {
  const names = ['constructor', 'toString', 'hasOwnProperty'];
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({
    check_session_url: url,
    forward_http_headers: [...names, 'X-Twice'],
  }));
  store.respond = json({ subject: 'a' });
  const { answers } = await sendRaw(
    gate.port,
    `GET /x HTTP/1.1\r\nHost: gate.example\r\nCookie: s=1\r\n${names.map((name) => `${name}: x\r\n`).join('')}X-Twice: 1\r\nX-Twice: 2\r\n\r\n`,
  );
  t.equal(answers[0]?.status, 200);
  const { rawHeaders = [] } = store.calls[0]?.message ?? {};
  const valuesOf = (name: string) =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
  for (const name of names) t.same(valuesOf(name.toLowerCase()), ['x']);
  t.same(valuesOf('x-twice'), ['1, 2']);
});

t.test('bearer_token shows the token to the session store', async (t) => {
  const { store, gate } = await start(
    t,
    'bearer_token',
    ({ url }) => ({ check_session_url: url, prefix: 'ory_st_' }),
    [{ handler: 'oauth2_introspection', config: { required_scope: ['read'] } }],
  );
  store.respond = json({ sub: 'bob', extra: null });
  t.equal((await ask(gate, '/x', { token: 'ory_st_1', headers: { cookie: 'a=1' } })).status, 200);
  t.equal(store.calls[0]?.message.headers.authorization, 'Bearer ory_st_1');
  t.equal(store.calls[0]?.message.headers.cookie, undefined);
  t.equal(
    (await ask(gate, '/x', { token: 'good-read' })).status,
    200,
    'another prefix is the next strategy’s',
  );
  t.equal((await ask(gate, '/x', { token: 'x.ory_st_1' })).status, 401, 'what only holds the prefix as well');
  t.equal(store.calls.length, 1);
  t.equal((await ask(gate, '/x', { headers: { authorization: 'Bearer a b' } })).status, 400);
  store.respond = json({}, 403);
  const denied = await ask(gate, '/x', { token: 'ory_st_2' });
  t.equal(denied.status, 401);
  t.match(denied.headers['www-authenticate'], 'error="invalid_token"');
});

t.test('a token from elsewhere is shown where it stood, one from the query in Authorization', async (t) => {
  for (const [source, question, field] of [
    [{ header: 'X-Token' }, { headers: { 'x-token': 'abc' } }, ['x-token', 'abc']],
    [{ cookie: 'tok' }, { headers: { cookie: 'tok=abc' } }, ['cookie', 'tok=abc']],
    [{ query_parameter: 'tok' }, {}, ['authorization', 'Bearer abc']],
  ] as const) {
    const { store, gate } = await start(t, 'bearer_token', ({ url }) => ({
      check_session_url: url,
      token_from: source,
    }));
    store.respond = json({ sub: 'x' });
    t.equal((await ask(gate, '/x?tok=abc', question)).status, 200);
    const { headers = {} } = store.calls[0]?.message ?? {};
    t.equal(headers[field[0]], field[1]);
    if (field[0] !== 'authorization') t.notOk('authorization' in headers, 'and nowhere else');
  }
});

t.test('a session store in trouble is answered 503, never 401', async (t) => {
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({ check_session_url: url }));
  const get = () => ask(gate, '/x?secret=1', { headers: { cookie: 's=1' } });
  for (const [name, fault] of Object.entries({
    ...FAULTS,
    'a subject that is no text': json({ subject: 5 }),
    'an extra that is no object': json({ subject: 'a', extra: [1] }),
    'a list': json([1], 502),
  })) {
    store.respond = fault;
    const answer = await get();
    t.equal(answer.status, 503, name);
    t.equal(answer.headers['retry-after'], name === '429' ? '9' : '1');
  }
  await store.close();
  t.equal((await get()).status, 503, 'nobody listens');
  const failures = gate.log.filter(({ msg }) => msg === 'call failed');
  t.ok(failures.length > 0);
  t.notMatch(JSON.stringify(failures), 'secret');
});

t.test('a byte order mark before a session is passed over', async (t) => {
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({ check_session_url: url }));
  store.respond = (_message, response) => response.writeHead(200).end('\ufeff{"subject":"a"}');
  t.equal((await ask(gate, '/x', { headers: { cookie: 's=1' } })).status, 200);
});

t.test('a session store that is slow, or says too much, is answered 503 at the deadline', async (t) => {
  const config = ({ url }: Store) => ({ check_session_url: url });
  const settings = { introspection: { timeout: '1s' } };
  const { store, gate } = await start(t, 'cookie_session', config, [], settings);
  const get = () => ask(gate, '/x', { headers: { cookie: 's=1' } });
  const slow: Store['respond'][] = [
    () => {},
    (_message, response) => void response.writeHead(200).write('{"subject":'),
    (_message, response) => response.writeHead(200).end(`{"subject":"${'a'.repeat(1_100_000)}"}`),
  ];
  for (const respond of slow) {
    store.respond = respond;
    t.equal((await get()).status, 503);
  }
  store.respond = json({ subject: 'a' });
  t.equal((await get()).status, 200);
});

t.test('a check that would go to the session store as the client’s own request is warned of at load', (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  const findings = (handler: string, config: object) => {
    const accessStrategies = [{ handler, config }];
    writeFileSync(file, apiRule('gate.example', [{ path: '/.*', methods: ['GET'], accessStrategies }]));
    const { table, findings: found } = loadRules([file], options);
    t.equal(table?.rules.length, 1, 'a warning keeps no rule from serving');
    return found.map((finding) => formatFinding(finding).replace(/^.*:1:\d+ /, ''));
  };
  const whoami = 'http://store/sessions/whoami';
  const place =
    'warning session-check-as-client default/gate: spec\\.rules\\.0\\.accessStrategies\\.0\\.config\\.check_session_url: ';
  for (const handler of ['cookie_session', 'bearer_token']) {
    for (const [config, problem] of [
      [
        { check_session_url: whoami },
        'scopegate calls it with the method and the path of the client’s request, .* write preserve_path: true and force_method: GET to always call /sessions/whoami',
      ],
      [
        { check_session_url: 'http://store', preserve_path: false },
        'scopegate calls it with the method and the path .* write the path of the check into check_session_url, preserve_path: true and force_method: GET',
      ],
      [
        { check_session_url: whoami, force_method: 'GET' },
        'scopegate calls it with the path of the client’s request, .* write preserve_path: true to always call /sessions/whoami',
      ],
      [
        { check_session_url: whoami, preserve_path: true },
        'scopegate calls it with the method of the client’s request, .* write force_method: GET',
      ],
      [
        { check_session_url: 'http://store', preserve_path: true },
        'scopegate calls it with the method of the client’s request, [^,]* write force_method: GET',
      ],
    ] as const) {
      const found = findings(handler, config);
      t.equal(found.length, 1);
      t.match(found[0], new RegExp(`^${place}${problem}`));
    }
    t.same(findings(handler, { check_session_url: whoami, preserve_path: true, force_method: 'GET' }), []);
    t.same(findings(handler, { check_session_url: whoami, preserve_path: true, force_method: 'POST' }), []);
  }
  t.end();
});

t.test('a field whose name JavaScript knows is forwarded as it is, or not at all', async (t) => {
  const { store, gate } = await start(t, 'cookie_session', ({ url }) => ({
    check_session_url: url,
    forward_http_headers: ['constructor', '__proto__', 'toString', 'X-Device'],
  }));
  store.respond = json({ subject: 'a' });
  const headers = { cookie: 's=1', constructor: 'c', 'x-device': 'd' };
  t.equal((await ask(gate, '/x', { headers })).status, 200);
  const { rawHeaders } = store.calls[0]?.message ?? {};
  t.notMatch(JSON.stringify(rawHeaders), /native code/);
  t.equal(rawHeaders?.[(rawHeaders?.indexOf('constructor') ?? 0) + 1], 'c');
  t.equal(store.calls[0]?.message.headers['x-device'], 'd');
});

t.test('optional authentication: no credential is anonymous, and a bad one is 401', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  store.respond = (message, response, body) => {
    const good = message.headers.cookie === 's=good' || /good/.test(String(message.headers['x-key']));
    json(good ? { subject: 'carol', sub: 'carol', extra: {} } : {}, good ? 200 : 401)(
      message,
      response,
      body,
    );
  };
  const check = { check_session_url: store.url, preserve_path: true, force_method: 'GET' };
  const optional = (path: string, handler: string, config: object) => ({
    path,
    methods: ['GET', 'PROPFIND'],
    accessStrategies: [
      { handler, config },
      { handler: 'anonymous', config: { subject: 'guest' } },
    ],
    mutators: [{ handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}' } } }],
  });
  const rules = apiRule('gate.example', [
    optional('/token', 'oauth2_introspection', {}),
    optional('/field', 'oauth2_introspection', { token_from: { header: 'X-Key' } }),
    optional('/cookie', 'cookie_session', { ...check, only: ['s'] }),
    optional('/key', 'bearer_token', { ...check, prefix: 'p_', token_from: { header: 'X-Key' } }),
    optional('/jwt', 'jwt', { jwks_urls: [store.url], token_from: { header: 'X-Key' } }),
  ]);
  const gate = await startTestGateway(t, { rules });
  const who = async (path: string, headers: Record<string, string> = {}) => {
    const { status } = await ask(gate, path, { headers });
    return status === 200 ? gate.upstream.received.at(-1)?.headers['x-who'] : status;
  };
  for (const path of ['/token', '/field', '/cookie', '/key', '/jwt']) {
    t.equal(await who(path), 'guest', path);
    t.equal(await who(path, { authorization: '' }), 'guest', `${path} empty`);
    t.equal(await who(path, { authorization: 'Basic dTpw' }), 401, `${path} Basic`);
    t.equal(await who(path, { cookie: 'theme=dark' }), 'guest', `${path} other cookie`);
  }
  t.equal(await who('/token', { authorization: 'Bearer good-read' }), 'reader');
  t.equal(await who('/token', { authorization: 'Bearer bad' }), 401);
  t.equal(await who('/field', { 'x-key': 'good-read' }), 'reader');
  t.equal(await who('/field', { 'x-key': 'bad' }), 401);
  t.equal(await who('/cookie', { cookie: 's=good' }), 'carol');
  t.equal(await who('/cookie', { cookie: 's=bad' }), 401);
  t.equal(await who('/key', { 'x-key': 'p_good' }), 'carol');
  t.equal(await who('/key', { 'x-key': 'p_bad' }), 401);
  t.equal(await who('/key', { 'x-key': 'other' }), 401, 'a credential of another kind is not none');
  t.equal(await who('/jwt', { 'x-key': 'opaque' }), 401, 'nor is one that is no JWT');

  const listing = 'PROPFIND /token HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n';
  t.equal((await sendRaw(gate.port, listing)).answers[0]?.status, 200, 'a method beyond the seven');
  t.equal(gate.upstream.received.at(-1)?.method, 'PROPFIND');
});
