import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';
import { FAULTS, json, startStore } from '../../store.js';

const TOKENS = {
  alice: { scope: 'read', sub: 'alice', client_id: 'c' },
  evil: { scope: 'read', sub: 'x", "admin": "true', client_id: 'c' },
};

async function start(t: Test, rules: (url: string) => readonly object[]) {
  const store = await startStore();
  t.teardown(() => store.close());
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', rules(store.url)),
    tokens: TOKENS,
    clock,
  });
  return { store, gate, clock };
}

const guarded = (path: string, authorizers: readonly object[], more: object = {}) =>
  rule(path, ['GET', 'POST'], 'read', { scopegate: { authorizers }, ...more });
const remoteJson = (url: string, more: object = {}) => ({
  handler: 'remote_json',
  config: {
    remote: `${url}/authorize`,
    payload:
      '{"subject": "{{ print .Subject }}", "resource": "{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}", "extra": {{ toJson .Extra }}}',
    ...more,
  },
});

t.test('remote_json allows what the service answers 200, and denies what it answers 403', async (t) => {
  const { store, gate } = await start(t, (url) => [
    guarded('/in/([a-z]+)', [
      remoteJson(url, {
        headers: { 'X-Who': '{{ .Subject }}' },
        forward_response_headers_to_upstream: ['X-Team'],
      }),
    ]),
    rule('/out', ['GET'], 'read'),
  ]);
  // In UTF-8, as the upstream gets it.
  const team = Buffer.from('bl\u00e5').toString('latin1');
  store.respond = (_message, response) => response.writeHead(200, { 'x-team': team, 'x-other': '1' }).end();
  t.equal((await ask(gate, '/in/doc', { token: 'alice', headers: { 'x-team': 'root' } })).status, 200);
  const [{ message, body }] = store.calls as [(typeof store.calls)[number]];
  t.match(message, { method: 'POST', url: '/authorize' });
  t.match(message.headers, {
    'content-type': 'application/json',
    authorization: 'Bearer alice',
    'x-who': 'alice',
  });
  t.match(JSON.parse(body), { subject: 'alice', resource: 'doc', extra: { client_id: 'c', scope: 'read' } });
  t.equal(gate.upstream.received[0]?.headers['x-team'], team);
  t.notOk('x-other' in (gate.upstream.received[0]?.headers ?? {}));

  t.equal((await ask(gate, '/in/doc', { token: 'evil' })).status, 200);
  t.same(
    Object.keys(JSON.parse(store.calls[1]?.body ?? '')),
    ['subject', 'resource', 'extra'],
    'no value adds a member',
  );
  t.equal((await ask(gate, '/out', { token: 'alice', headers: { 'x-team': 'root' } })).status, 200);
  t.notOk('x-team' in (gate.upstream.received.at(-1)?.headers ?? {}), 'nobody else may say it');

  const before = gate.upstream.received.length;
  store.respond = (_message, response) => response.writeHead(403).end();
  const denied = await ask(gate, '/in/doc', { token: 'alice' });
  t.equal(denied.status, 403);
  t.equal(denied.reason, 'the authorizer denies the request');
  for (const [name, fault] of Object.entries({
    ...FAULTS,
    401: json({}, 401),
    201: json({}, 201),
    404: json({}, 404),
  })) {
    if (name === 'nonsense' || name === 'not UTF-8') continue;
    store.respond = fault;
    const answer = await ask(gate, '/in/doc', { token: 'alice' });
    t.equal(answer.status, 503, name);
    t.ok(answer.headers['retry-after']);
  }
  const calls = store.calls.length;
  t.equal((await ask(gate, '/in/doc')).status, 401, 'who is not authenticated is not asked about');
  t.equal(store.calls.length, calls);
  t.equal(gate.upstream.received.length, before, 'nothing went on without a yes');
});

t.test(
  'allow_from reads the answer of a service that always says 200, such as Open Policy Agent',
  async (t) => {
    const { store, gate } = await start(t, (url) => [
      guarded('/(in)', [remoteJson(url, { allow_from: 'result.allow' })]),
    ]);
    for (const [body, expected] of [
      ['{"result":{"allow":true}}', 200],
      ['{"result":{"allow":false}}', 403],
      ['{"result":{"allow":"true"}}', 403],
      ['{"result":true}', 403],
      ['{}', 403],
      ['<html>', 503],
      ['', 503],
    ] as const) {
      store.respond = (_message, response) => response.writeHead(200).end(body);
      t.equal((await ask(gate, '/in', { token: 'alice' })).status, expected, body);
    }
  },
);

t.test('several authorizers are asked in order, and deny denies all', async (t) => {
  const { store, gate } = await start(t, (url) => [
    guarded('/(two)', [{ handler: 'allow' }, remoteJson(`${url}/first`), remoteJson(`${url}/second`)]),
    guarded('/none', [{ handler: 'deny' }]),
    {
      path: '/open',
      methods: ['GET'],
      accessStrategies: [{ handler: 'noop' }],
      scopegate: { authorizers: [{ handler: 'deny' }] },
    },
  ]);
  store.respond = (message, response) =>
    response.writeHead(/first/.test(message.url ?? '') ? 200 : 403).end();
  t.equal((await ask(gate, '/two', { token: 'alice' })).status, 403);
  t.same(
    store.calls.map(({ message }) => message.url),
    ['/first/authorize', '/second/authorize'],
  );
  store.respond = (_message, response) => response.writeHead(403).end();
  t.equal((await ask(gate, '/two', { token: 'alice' })).status, 403);
  t.equal(store.calls.length, 3, 'the second is not asked when the first has denied');
  t.equal((await ask(gate, '/none', { token: 'alice' })).status, 403);
  t.equal((await ask(gate, '/none')).status, 401);
  t.equal((await ask(gate, '/open')).status, 403);
});

t.test('an answer is kept for the requests that the rule says are the same', async (t) => {
  const { store, gate, clock } = await start(t, (url) => [
    guarded('/in/(.*)', [
      remoteJson(url, { cache: { ttl: '30s', key: ['{{ .Subject }}', '{{ .MatchContext.URL.Path }}'] } }),
    ]),
  ]);
  let verdict = 200;
  store.respond = (_message, response) => response.writeHead(verdict).end();
  const status = async (path: string, token = 'alice') => (await ask(gate, path, { token })).status;
  t.same(await Promise.all([1, 2, 3].map(() => status('/in/a'))), [200, 200, 200]);
  t.equal(store.calls.length, 1, 'one call for requests at once');
  verdict = 403;
  t.equal(await status('/in/a'), 200, 'kept');
  t.equal(await status('/in/b'), 403, 'another path');
  t.equal(await status('/in/a', 'evil'), 403, 'another subject');
  verdict = 200;
  t.equal(await status('/in/b'), 403, 'a no is kept as well');
  t.equal(store.calls.length, 3);
  clock.advance(31_000);
  t.equal(await status('/in/b'), 200);
  verdict = 500;
  t.equal(await status('/in/c'), 503);
  verdict = 200;
  t.equal(await status('/in/c'), 200, 'a failure is not');
});

t.test('remote shows the service the body of the request, which the upstream gets as well', async (t) => {
  const { store, gate } = await start(t, (url) => [
    guarded('/in', [{ handler: 'remote', config: { remote: url, headers: { 'X-Who': '{{ .Subject }}' } } }]),
  ]);
  store.respond = (_message, response, body) => response.writeHead(body.includes('bad') ? 403 : 200).end();
  const post = (body: string, headers: Record<string, string> = {}) =>
    ask(gate, '/in', {
      method: 'POST',
      token: 'alice',
      body,
      headers: { 'content-type': 'text/x', ...headers },
    });
  t.equal((await post('good')).status, 200);
  t.match(store.calls[0], {
    body: 'good',
    message: { headers: { 'content-type': 'text/x', 'x-who': 'alice' } },
  });
  t.equal(gate.upstream.received[0]?.body?.toString(), 'good');
  t.equal((await post('bad')).status, 403);
  t.equal((await ask(gate, '/in', { token: 'alice' })).status, 200, 'no body');
  const calls = store.calls.length;
  t.equal((await post('x'.repeat(65_537))).status, 413, 'what cannot be shown as a whole is refused');
  t.equal(store.calls.length, calls);
});

t.test('forward-auth shows remote no body, whatever length the asking proxy passes on', async (t) => {
  const { store, gate } = await start(t, (url) => [
    guarded('/in', [{ handler: 'remote', config: { remote: url } }]),
  ]);
  store.respond = (_message, response) => response.writeHead(200).end();
  const reply = await fetch(`${gate.adminUrl}/decisions`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer alice',
      'x-forwarded-method': 'POST',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-uri': '/in',
    },
    body: 'what is this',
  });
  t.equal(reply.status, 200);
  t.match(store.calls, [{ body: '' }]);
});

t.test('a failed call is made again while the rule says so', async (t) => {
  const { store, gate } = await start(t, (url) => [
    guarded('/(in)', [remoteJson(url, { retry: { give_up_after: '30s', max_delay: '1ms' } })]),
  ]);
  store.respond = (_message, response) => response.writeHead(store.calls.length < 3 ? 500 : 200).end();
  t.equal((await ask(gate, '/in', { token: 'alice' })).status, 200);
  t.equal(store.calls.length, 3);
});

t.test('what an authorizer cannot be is said at load, with its place', (t) => {
  const findings = (authorizer: object) => {
    const folder = t.testdir({ 'r.yaml': apiRule('gate.example', [guarded('/(in)', [authorizer])]) });
    return loadRules([join(folder, 'r.yaml')], options).findings.map(
      ({ level, code, message }) => `${level} ${code} ${message}`,
    );
  };
  for (const [authorizer, expected] of [
    [
      { handler: 'remot_json' },
      /^error unknown-handler .*authorizers\.0\.handler: .*did you mean "remote_json"/,
    ],
    [{ handler: 'keto_engine_acp_ory' }, /^error unknown-handler/],
    [{ handler: 'remote_json', config: { remote: 'http://x' } }, /^error missing-field/],
    [remoteJson('ftp://x'), /^error invalid-value/],
    [
      remoteJson('http://x', { payload: '[]' }),
      /config\.payload: the template does not produce a JSON object/,
    ],
    [remoteJson('http://x', { payload: '{"a": "{{ if .x }}"}' }), /config\.payload: .*keyword "if"/],
    [
      remoteJson('http://x', { headers: { Host: 'x' } }),
      /config\.headers\.Host: scopegate sets this field of the call itself; remove it/,
    ],
    [
      remoteJson('http://x', { forward_response_headers_to_upstream: ['Host'] }),
      /scopegate sets this field itself; remove it/,
    ],
    [remoteJson('http://x', { cache: { ttl: '1m', key: ['all'] } }), /the same for every request/],
    [remoteJson('http://x', { cache: { ttl: '1m' } }), /^error missing-field/],
    [remoteJson('http://x', { retry: { give_up_after: '2m' } }), /must be at most 1m/],
    [
      { handler: 'remote_json', config: { remote: 'http://opa:8181/v1/data/http/allow', payload: '{}' } },
      /^warning authorizer-allows-all .*allow_from: result/,
    ],
  ] as const) {
    const found = findings(authorizer);
    t.equal(found.length, 1, JSON.stringify(found));
    t.match(found[0], expected);
  }
  t.end();
});
