import t from 'tap';
import { oauth2Introspection } from '../../../src/auth/strategies/oauth2-introspection.js';
import type { HandlerDefaults } from '../../../src/auth/strategies/strategy.js';
import { ConfigError } from '../../../src/document/finding.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import type { Services } from '../../../src/model/strategy.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { arrival, noServices } from '../../decision.js';
import { apiRule, startTestGateway, type TestGateway } from '../../gateway.js';
import { startIntrospection } from '../../introspection.js';
import { start } from './introspection-setup.js';

const defaults: HandlerDefaults = {
  scopeStrategy: 'exact',
  endpoint: { url: 'https://as.example/introspect', headers: {}, auth: { method: 'none' } },
  leeway: 0,
};

async function statuses(gate: TestGateway, path: string, tokens: readonly string[]): Promise<number[]> {
  const replies: number[] = [];
  for (const token of tokens) replies.push((await ask(gate, path, { token })).status);
  return replies;
}

t.test('introspection_url: the rule’s own server is asked, and its answers are kept apart', async (t) => {
  const other = await startIntrospection({ t: { scope: 'write' } });
  t.teardown(() => other.close());
  const gate = await start(
    t,
    [
      { required_scope: ['read'] },
      { required_scope: ['write'], introspection_url: other.url },
      { introspection_url: other.url },
    ],
    { t: { scope: 'read' } },
  );
  for (let i = 0; i < 2; i++) {
    t.same(await statuses(gate, '/0', ['t']), [200]);
    t.same(await statuses(gate, '/1', ['t']), [200]);
    t.same(await statuses(gate, '/2', ['t']), [200]);
  }
  t.same(gate.endpoint.asked, ['t']);
  t.same(other.asked, ['t'], 'two rules with one server share its answer');
});

t.test(
  'credentials and fixed fields are sent to the server they are meant for and to no other origin',
  async (t) => {
    const other = await startIntrospection({ t: {} });
    t.teardown(() => other.close());
    for (const clientAuth of [
      { method: 'basic', clientId: 'gateway', clientSecret: 'SECRET' },
      { method: 'post', clientId: 'gateway', clientSecret: 'SECRET' },
      { method: 'bearer', token: 'SECRET' },
    ]) {
      const gate = await startTestGateway(t, {
        rules: apiRule('gate.example', [
          { path: '/own', methods: ['GET'], accessStrategies: [{ handler: 'oauth2_introspection' }] },
          {
            path: '/other',
            methods: ['GET'],
            accessStrategies: [{ handler: 'oauth2_introspection', config: { introspection_url: other.url } }],
          },
        ]),
        tokens: { t: {} },
        settings: { introspection: { clientAuth, headers: { 'X-Key': 'SECRET' } } },
      });
      t.equal((await ask(gate, '/own', { token: 't' })).status, 200);
      t.equal((await ask(gate, '/other', { token: 't' })).status, 200);
      const sent = (endpoint: typeof other): string =>
        JSON.stringify(endpoint.requests.map(({ message, body }) => [message.rawHeaders, body]));
      t.match(sent(gate.endpoint), /x-key","SECRET/, 'to its own');
      t.notMatch(
        sent(other),
        /SECRET|U0VDUkVU|gateway"|client_id|authorization/i,
        `${clientAuth.method}: to no other`,
      );
      other.requests.length = 0;
    }
  },
);

t.test('each server of the settings gets its own credentials and fields', async (t) => {
  const second = await startIntrospection({ t: {} });
  const third = await startIntrospection({ t: {} });
  t.teardown(() => Promise.all([second.close(), third.close()]));
  const own = await startIntrospection({ t: {} });
  t.teardown(() => own.close());
  const gate = await start(
    t,
    [{}, { introspection_url: `${second.url}/tenant` }, { introspection_url: third.url }],
    {},
    {
      url: own.url,
      clientAuth: { method: 'bearer', token: 'for-the-first' },
      servers: [
        {
          url: second.url,
          headers: { 'X-Server': 'second' },
          clientAuth: { method: 'basic', clientId: 'second', clientSecret: 'for-the-second' },
        },
      ],
    },
  );
  for (const path of ['/0', '/1', '/2']) t.same(await statuses(gate, path, ['t']), [200]);
  const headers = ({ requests }: typeof own) => requests[0]?.message.headers;
  t.match(headers(own), { authorization: 'Bearer for-the-first', 'x-server': undefined });
  const basic = Buffer.from('second:for-the-second').toString('base64');
  t.match(headers(second), { authorization: `Basic ${basic}`, 'x-server': 'second' });
  t.match(headers(third), { authorization: undefined, 'x-server': undefined });
});

t.test('servers of one origin are told apart by their URLs, and another URL there is nobody’s', async (t) => {
  const both = await startIntrospection({ t: {} });
  t.teardown(() => both.close());
  const [first, second] = [`${both.url}/first`, `${both.url}/second`];
  const servers = [first, second].map((url) => ({
    url,
    clientAuth: { method: 'bearer', token: url.at(-1) },
  }));
  const gate = await start(t, [{ introspection_url: first }, { introspection_url: second }], {}, { servers });
  for (const [path, url, letter] of [
    ['/0', first, 't'],
    ['/1', second, 'd'],
  ] as const) {
    t.same(await statuses(gate, path, ['t']), [200]);
    const message = both.requests.at(-1)?.message;
    t.equal(message?.url, new URL(url).pathname);
    t.equal(message?.headers.authorization, `Bearer ${letter}`);
  }
  const issuer = 'https://issuer.example';
  const named = await start(
    t,
    [{ introspection_url: `${issuer}/` }],
    {},
    {
      servers: [servers[0], { ...servers[1], issuer }],
    },
  );
  t.same(await statuses(named, '/0', ['t']), [200], 'named by its issuer, asked at its URL');
  t.equal(both.requests.at(-1)?.message.headers.authorization, 'Bearer d');
  const twice = [first, second].map(
    (url): Endpoint => ({ url, issuer, headers: {}, auth: { method: 'none' } }),
  );
  t.throws(
    () => oauth2Introspection.compile({ introspection_url: issuer }, { ...defaults, servers: twice }),
    { path: ['introspection_url'], message: /several servers/ },
  );
  const known = servers.map(
    ({ url }): Endpoint => ({ url, headers: {}, auth: { method: 'none' }, server: url }),
  );
  for (const url of [both.url, `${first}/`, `${first}?x`]) {
    t.throws(
      () => oauth2Introspection.compile({ introspection_url: url }, { ...defaults, servers: known }),
      { path: ['introspection_url'], message: /several servers/ },
      url,
    );
  }
});

t.test('another path on the same origin gets the credentials', async (t) => {
  const own = await startIntrospection({ t: {} });
  t.teardown(() => own.close());
  const clientAuth = { method: 'bearer', token: 'gateway-token' };
  const gate = await start(t, [{ introspection_url: `${own.url}/tenant` }], {}, { url: own.url, clientAuth });
  t.same(await statuses(gate, '/0', ['t']), [200]);
  const [request] = own.requests;
  t.equal(request?.message.url, '/admin/oauth2/introspect/tenant');
  t.equal(request?.message.headers.authorization, 'Bearer gateway-token');
});

t.test(
  'introspection_request_headers: laid over the gateway’s own, one field in two spellings is one',
  async (t) => {
    const gate = await start(
      t,
      [{ introspection_request_headers: { 'X-Forwarded-Proto': 'https', 'x-tenant': 'rule' } }, {}],
      { t: {}, u: {} },
      { headers: { 'X-Tenant': 'gateway' } },
    );
    t.same(await statuses(gate, '/0', ['t']), [200]);
    t.same(await statuses(gate, '/1', ['t']), [200]);
    const [first, second] = gate.endpoint.requests.map(({ message }) => message);
    t.match(first?.headers, {
      'x-forwarded-proto': 'https',
      'x-tenant': 'rule',
      'content-type': 'application/x-www-form-urlencoded',
    });
    t.equal(first?.rawHeaders.filter((name) => name.toLowerCase() === 'x-tenant').length, 1);
    t.match(second?.headers, { 'x-tenant': 'gateway' }, 'asked anew: another field may mean another answer');
  },
);

t.test('target_audience: every one is needed', async (t) => {
  const gate = await start(t, [{ target_audience: ['a', 'b'] }], {
    both: { aud: ['a', 'b', 'c'] },
    one: { aud: ['a'] },
    text: { aud: 'a' },
    none: {},
  });
  t.same(await statuses(gate, '/0', ['both', 'one', 'text', 'none']), [200, 401, 401, 401]);
});

t.test('trusted_issuers: one is enough', async (t) => {
  const gate = await start(t, [{ trusted_issuers: ['https://a', 'https://b'] }], {
    a: { iss: 'https://a' },
    b: { iss: 'https://b' },
    c: { iss: 'https://c' },
    none: {},
  });
  t.same(await statuses(gate, '/0', ['a', 'b', 'c', 'none']), [200, 200, 401, 401]);
});

t.test('scope_strategy: the rule’s before the gateway’s', async (t) => {
  const gate = await start(
    t,
    [
      { required_scope: ['a.b'] },
      { required_scope: ['a.b'], scope_strategy: 'exact' },
      { required_scope: ['a.b'], scope_strategy: 'wildcard' },
      { scope_strategy: 'none' },
    ],
    { above: { scope: 'a' }, star: { scope: 'a.*' }, same: { scope: 'a.b' }, none: {} },
    { scopeStrategy: 'hierarchic' },
  );
  const tokens = ['above', 'star', 'same', 'none'];
  t.same(await statuses(gate, '/0', tokens), [200, 403, 200, 403], 'hierarchic, the gateway’s');
  t.same(await statuses(gate, '/1', tokens), [403, 403, 200, 403], 'exact');
  t.same(await statuses(gate, '/2', tokens), [403, 200, 200, 403], 'wildcard');
  t.same(await statuses(gate, '/3', tokens), [200, 200, 200, 200], 'none');
});

const GRANT = {
  enabled: true,
  client_id: 'gateway',
  client_secret: 'secret',
  token_url: 'http://as.example/token',
};

t.test(
  'a rule’s own Authorization field goes with the call, but not beside a token of the gateway',
  async (t) => {
    const gate = await start(t, [{ introspection_request_headers: { Authorization: 'Basic cnVsZQ==' } }], {
      t: {},
    });
    t.same(await statuses(gate, '/0', ['t']), [200]);
    t.equal(gate.endpoint.requests.at(-1)?.message.headers.authorization, 'Basic cnVsZQ==');
    for (const name of ['Authorization', 'authorization']) {
      t.throws(
        () =>
          oauth2Introspection.compile(
            { introspection_request_headers: { [name]: 'Basic x' }, pre_authorization: GRANT },
            defaults,
          ),
        { path: ['introspection_request_headers', name], message: /pre_authorization sets .* itself/ },
      );
    }
  },
);

t.test('where a rule does not go on during outages, nobody looks for what was known', async (t) => {
  const failing: Services = {
    ...noServices,
    introspect: () => ({ ok: false, cause: 'down', retryAfter: 1, trace: { from: 'failed', ms: 0 } }),
    stale: () => {
      throw new Error('nobody was to be asked');
    },
  };
  for (const staleIfError of [undefined, 0]) {
    const more = staleIfError === undefined ? {} : { staleIfError };
    const strategy = oauth2Introspection.compile({}, { ...defaults, ...more });
    const { target, fields } = arrival('/x', { Authorization: 'Bearer t' });
    const outcome = await strategy.authenticate({ method: 'GET', target, fields }, failing);
    t.match(outcome, { kind: 'deny', denial: { error: 'authorization_server_unavailable' } });
  }
});

t.test('what cannot work is refused at load, with the field', async (t) => {
  for (const [config, path] of [
    [{ pre_authorization: { ...GRANT, token_url: 'none' } }, 'pre_authorization'],
    [{ pre_authorization: { enabled: true } }, 'pre_authorization'],
    [{ introspection_url: 'http://[' }, 'introspection_url'],
    [{ introspection_request_headers: { 'Content-Length': '1' } }, 'introspection_request_headers'],
    [{ introspection_request_headers: { 'transfer-encoding': 'chunked' } }, 'introspection_request_headers'],
    [{ introspection_request_headers: { Host: 'other' } }, 'introspection_request_headers'],
    [{ required_scope: ['read'], scope_strategy: 'none' }, 'scope_strategy'],
  ] as const) {
    try {
      oauth2Introspection.compile(config, defaults);
      t.fail(JSON.stringify(config));
    } catch (error) {
      t.ok(error instanceof ConfigError, JSON.stringify(config));
      t.equal((error as ConfigError).path[0], path);
    }
  }
});

t.test('Oathkeeper’s prefix, preserve_host, cache and retry of a rule', async (t) => {
  const introspection = (path: string, config: object, ...more: object[]) => ({
    path,
    methods: ['GET'],
    accessStrategies: [{ handler: 'oauth2_introspection', config }, ...more],
  });
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule('*.example', [
      introspection('/prefix', { prefix: 'good-' }, { handler: 'anonymous' }),
      introspection('/host', { preserve_host: true }),
      introspection('/plain', {}),
      introspection('/fresh', { cache: { enabled: false } }),
      introspection('/short', { cache: { ttl: '2s' } }),
      introspection('/again', { retry: { give_up_after: '30s', max_delay: '1ms' } }),
    ]),
  });
  const calls = () => gate.endpoint.requests.length;
  const status = async (path: string, token?: string, host = 'gate.example') =>
    (await ask(gate, path, { host, ...(token === undefined ? {} : { token }) })).status;

  t.equal(await status('/prefix', 'good-read'), 200);
  t.equal(await status('/prefix', 'other'), 401, 'a credential all the same, so not anonymous');
  t.equal(await status('/prefix'), 200);
  t.equal(calls(), 1, 'a token that begins otherwise is not shown to the server');

  t.equal(await status('/plain', 'good-read'), 200);
  t.equal(calls(), 1, 'rules share answers');
  t.equal(await status('/host', 'good-read'), 200);
  t.equal(await status('/host', 'good-read'), 200);
  t.equal(await status('/host', 'good-read', 'b.example:81'), 200);
  t.equal(calls(), 3, 'but not where the server may answer by the host');
  t.same(
    gate.endpoint.requests.map(({ message }) => message.headers['x-forwarded-host']),
    [undefined, 'gate.example', 'b.example'],
  );
  t.equal(await status('/fresh', 'good-read'), 200);
  t.equal(await status('/fresh', 'good-read'), 200);
  t.equal(calls(), 5);
  t.equal(await status('/short', 'good-read'), 200);
  t.equal(await status('/short', 'good-read'), 200);
  t.equal(calls(), 6);
  clock.advance(3_000);
  t.equal(await status('/short', 'good-read'), 200);
  t.equal(calls(), 7);
  t.equal(await status('/plain', 'good-read'), 200);
  t.equal(calls(), 7, 'other rules keep theirs for as long as before');

  let cut = 4;
  gate.endpoint.fault = (message) => {
    if (--cut <= 0) gate.endpoint.fault = undefined;
    message.socket.destroy();
  };
  t.equal(await status('/again', 'good-write'), 200, 'asked again, more often than the settings say');
});
