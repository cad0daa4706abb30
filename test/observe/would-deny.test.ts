import { join } from 'node:path';
import t from 'tap';
import { run as check } from '../../src/commands/check.js';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway } from '../gateway.js';

const mutators = [{ handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}' } } }];

t.test('a rule that observes lets every request pass, and says what it would have denied', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/dry(/.*)?', ['GET'], 'read', {
        mutators,
        scopegate: { enforcement: 'observe', stripPath: '/dry' },
      }),
      rule('/wet', ['GET'], 'read', { mutators }),
    ]),
  });
  const headers = { 'x-who': 'root' };
  for (const [question, error] of [
    [{ token: 'good-read' }, undefined],
    [{}, 'no_token'],
    [{ token: 'bad' }, 'invalid_token'],
    [{ token: 'good-write' }, 'insufficient_scope'],
    [{ headers: { authorization: 'Bearer a b' } }, 'invalid_request'],
  ] as const) {
    const answer = await ask(gate, '/dry/a', {
      ...question,
      headers: { ...headers, ...('headers' in question ? question.headers : {}) },
    });
    t.equal(answer.status, 200, error ?? 'allowed');
    const received = gate.upstream.received.at(-1);
    t.equal(received?.url, '/a', 'sent as an allowed one is');
    t.equal(
      received?.headers['x-who'],
      error === undefined ? 'reader' : undefined,
      'nobody speaks of the user',
    );
    const line = gate.log.filter(({ msg }) => msg === 'decision').at(-1);
    t.equal(line?.decision, 'allow');
    t.equal(line?.would_deny, error);
    t.equal(typeof line?.reason, error === undefined ? 'undefined' : 'string');
  }
  t.equal((await ask(gate, '/dry/a%2Fb')).status, 400, 'a malformed path has no one meaning to observe');
  t.equal((await ask(gate, '/none')).status, 404);
  t.equal((await ask(gate, '/wet')).status, 401, 'other rules hold');
  const decided = await ask({ url: gate.adminUrl }, '/decisions', {
    headers: { 'x-forwarded-method': 'GET', 'x-forwarded-host': 'gate.example', 'x-forwarded-uri': '/dry/a' },
  });
  t.equal(decided.status, 200, 'a proxy that asks is told to go on');
  t.equal(decided.headers['x-user'], '');

  const get = async (path: string) =>
    (await ask({ url: gate.adminUrl }, path, { host: new URL(gate.adminUrl).host })).text;
  const metrics = await get('/metrics');
  t.match(metrics, 'scopegate_would_deny_total{rule="default/gate#0",error="no_token"} 2');
  t.match(metrics, 'scopegate_would_deny_total{rule="default/gate#0",error="insufficient_scope"} 1');
  t.match(metrics, 'scopegate_rules_observing 1');
  t.match(JSON.parse(await get('/health/ready')), { status: 'ok', enforcement: { observing: 1, rules: 2 } });
  const status = JSON.parse(await get('/status'));
  t.match(status, { rules: { observing: 1 } });
  t.ok(status.recent.some((each: { wouldDeny?: string }) => each.wouldDeny === 'no_token'));
  t.match(JSON.parse(await get('/rules')).rules, [{ enforcement: 'observe' }, { enforcement: 'enforce' }]);
  t.match(
    gate.log.find(({ enforcement }) => enforcement === 'observe'),
    { level: 40, observing: 1, ids: ['default/gate#0'] },
    'the log says so at the start',
  );
});

t.test('of a denied request the upstream gets nothing that it would not get of an allowed one', async (t) => {
  const places = [
    { header: 'Authorization' },
    { header: 'X-Api-Key' },
    { query_parameter: 'tok' },
    { cookie: 'tok' },
  ];
  const setters = [
    { handler: 'id_token', config: { issuer_url: 'https://gate.example' } },
    { handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}', 'User-Agent': 'gate' } } },
    { handler: 'cookie', config: { cookies: { who: '{{ .Subject }}' } } },
  ];
  const kinds = places.flatMap((place) =>
    [true, false].flatMap((forwards) =>
      [undefined, setters].map((mutators) => ({ place, forwards, mutators })),
    ),
  );
  const gate = await startTestGateway(t, {
    rules: apiRule(
      'gate.example',
      kinds.map(({ place, forwards, mutators }, i) => ({
        path: `/${i}`,
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['read'], token_from: place, forward_token: forwards },
          },
        ],
        scopegate: { enforcement: 'observe' },
        ...(mutators === undefined ? {} : { mutators }),
      })),
    ),
  });
  for (const [i, { place }] of kinds.entries()) {
    /** The names of what the upstream got from the client: fields, cookies, and the query. */
    const passed = async (token: string): Promise<string[]> => {
      const cookie = `own=mark${'cookie' in place ? `; tok=${token}` : ''}; who=mark`;
      const headers: Record<string, string> = { cookie, 'x-who': 'mark', 'user-agent': 'mark' };
      if ('header' in place)
        headers[place.header] = place.header === 'Authorization' ? `Bearer ${token}` : token;
      const path = 'query_parameter' in place ? `/${i}?own=mark&tok=${token}` : `/${i}`;
      t.equal((await ask(gate, path, { headers })).status, 200);
      const received = gate.upstream.received.at(-1);
      const mine = (text: unknown) => ['mark', token, `Bearer ${token}`].includes(String(text));
      const cookies = String(received?.headers.cookie ?? '')
        .split('; ')
        .filter((pair) => mine(pair.split('=')[1]));
      return [
        ...Object.entries(received?.headers ?? {}).flatMap(([name, value]) =>
          name !== 'cookie' && mine(value) ? [name] : [],
        ),
        ...cookies.map((pair) => `cookie ${pair.split('=')[0]}`),
        ...(received?.url.includes('tok=') ? ['query tok'] : []),
      ];
    };
    const allowed = await passed('good-read');
    t.ok(allowed.includes('cookie own'), 'what is the client’s own goes on');
    for (const denied of [await passed('bad'), await passed('good-write'), await passed('bad,x')]) {
      t.same(denied, allowed, JSON.stringify(kinds[i]));
    }
  }
});

t.test('the whole gateway can observe, but for rules that enforce', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/dry', ['GET'], 'read'),
      rule('/wet', ['GET'], 'read', { scopegate: { enforcement: 'enforce' } }),
    ]),
    settings: { enforcement: 'observe' },
  });
  t.equal((await ask(gate, '/dry')).status, 200);
  t.equal((await ask(gate, '/wet')).status, 401);
  gate.endpoint.fault = (message) => message.socket.destroy();
  t.equal((await ask(gate, '/dry', { token: 'new' })).status, 200, 'nor does a failure of the server deny');
  t.equal(
    gate.log.filter(({ msg }) => msg === 'decision').at(-1)?.would_deny,
    'authorization_server_unavailable',
  );
});

t.test('before the gateway that still protects the workload, it observes what clients get', async (t) => {
  const rules = apiRule('gate.example', [rule('/orders/.*', ['GET'], 'read')]);
  const old = await startTestGateway(t, { rules });
  // As docs/migration.md says: every service is the old gateway, and the request keeps its host.
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/orders/.*', ['GET'], 'write')]),
    upstreamUrl: old.url,
    settings: { enforcement: 'observe', forward: { host: 'preserve' } },
  });
  for (const [token, status, error] of [
    ['good-read', 200, 'insufficient_scope'],
    ['bad', 401, 'invalid_token'],
    [undefined, 401, 'no_token'],
  ] as const) {
    const answer = await ask(gate, '/orders/7', token === undefined ? {} : { token });
    t.equal(answer.status, status, `${token}: the old gateway decides`);
    t.equal(gate.log.filter(({ msg }) => msg === 'decision').at(-1)?.would_deny, error);
  }
  t.same(
    old.upstream.received.map(({ url }) => url),
    ['/orders/7'],
  );
});

t.test('check says where a dry run is configured', async (t) => {
  const folder = t.testdir({
    'rules.yaml': apiRule('gate.example', [rule('/dry', ['GET'], 'read')]),
    'settings.yaml':
      'rules: [ ./rules.yaml ]\nenforcement: observe\nintrospection: { url: "http://127.0.0.1:9/" }\n',
  });
  const lines: string[] = [];
  const io = { environment: {}, out: (text: string) => void lines.push(text), err: () => {} };
  const file = join(folder, 'settings.yaml');
  t.equal(await check(['--config', file, '--format', 'lines'], io), 0);
  t.match(lines.join(''), `${file}:2:14 warning observe-only enforcement: observe is a dry run`);
  t.equal(await check(['--config', file, '--strict'], io), 1);
});
