import { join } from 'node:path';
import t from 'tap';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';

const BROWSER = 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8';
const redirect = (more: object = {}) => ({
  handler: 'redirect',
  config: {
    to: 'https://login.example/start?x=1',
    return_to_query_param: 'return_to',
    when: [{ error: ['unauthorized'], request: { header: { accept: ['text/html'] } } }],
    ...more,
  },
});

t.test('a browser is sent to the login, and everybody else gets the challenge', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/app/.*', ['GET', 'HEAD'], 'read', { scopegate: { errors: [redirect(), { handler: 'json' }] } }),
      rule('/basic', ['GET'], 'read', {
        scopegate: { errors: [{ handler: 'www_authenticate', config: { realm: 'shop' } }] },
      }),
      rule('/token', ['GET'], 'read', {
        accessStrategies: [
          { handler: 'oauth2_introspection', config: { token_from: { query_parameter: 'key' } } },
        ],
        scopegate: { errors: [redirect()] },
      }),
    ]),
  });
  const get = (path: string, accept?: string, more: object = {}) =>
    ask(gate, path, { headers: accept === undefined ? {} : { accept }, ...more });
  const sent = await get('/app/a/../b?q=1&x=2', BROWSER);
  t.equal(sent.status, 302);
  const to = new URL(String(sent.headers.location));
  t.equal(to.origin + to.pathname, 'https://login.example/start');
  t.equal(to.searchParams.get('x'), '1');
  t.equal(to.searchParams.get('return_to'), 'http://gate.example/app/b?q=1&x=2');
  t.equal(sent.headers['www-authenticate'], undefined);
  t.equal(sent.headers['cache-control'], 'no-store');

  for (const accept of [undefined, '*/*', 'application/json', 'text/*', 'text/html;q=0']) {
    const { status, headers } = await get('/app/a', accept);
    t.equal(status, 401, accept ?? 'none');
    t.match(headers['www-authenticate'], /^Bearer /);
    t.equal(headers.location, undefined);
  }
  t.equal(
    (await get('/app/a', BROWSER, { token: 'good-write' })).status,
    403,
    'another error than it is for',
  );
  t.equal((await get('/app/a', BROWSER, { token: 'good-read' })).status, 200);
  gate.endpoint.fault = (message) => message.socket.destroy();
  t.equal((await get('/app/a', BROWSER, { token: 'new' })).status, 503, 'a failure is never a login');
  t.equal((await get('/none', BROWSER)).status, 404);

  const basic = await get('/basic');
  t.equal(basic.status, 401);
  t.equal(basic.headers['www-authenticate'], 'Basic realm="shop"');

  const decided = await ask({ url: gate.adminUrl }, '/decisions', {
    headers: {
      accept: BROWSER,
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'gate.example:8443',
      'x-forwarded-uri': '/app/a',
      'x-forwarded-proto': 'https',
    },
  });
  t.equal(decided.status, 302, 'the same for a proxy that asks');
  t.equal(
    new URL(String(decided.headers.location)).searchParams.get('return_to'),
    'https://gate.example:8443/app/a',
  );
});

t.test('return_to is told only of hosts that the rule trusts, and holds no token', async (t) => {
  const to = { to: '/login', return_to_query_param: 'rt' };
  const gate = await startTestGateway(t, {
    rules: apiRule('*.gate.example', [
      rule('/all', ['GET'], 'read', { scopegate: { errors: [redirect(to)] } }),
      rule('/some', ['GET'], 'read', {
        scopegate: {
          errors: [redirect({ ...to, return_to_hosts: ['app.gate.example', '*.safe.gate.example'] })],
        },
      }),
      {
        path: '/key',
        methods: ['GET'],
        accessStrategies: [
          { handler: 'oauth2_introspection', config: { token_from: { query_parameter: 'key' } } },
        ],
        scopegate: { errors: [redirect(to)] },
      },
    ]),
  });
  const location = async (host: string, path: string) =>
    (await ask(gate, path, { host, headers: { accept: BROWSER } })).headers.location;
  const told = (url: string) => `/login?rt=${encodeURIComponent(url)}`;
  t.equal(await location('app.gate.example', '/all'), told('http://app.gate.example/all'));
  t.equal(await location('APP.gate.example:81', '/some'), told('http://app.gate.example:81/some'));
  t.equal(await location('a.safe.gate.example', '/some'), told('http://a.safe.gate.example/some'));
  t.equal(await location('evil.gate.example', '/some'), '/login');
  t.equal(await location('app.gate.example', '/key?key=bad&a=b'), told('http://app.gate.example/key?a=b'));
  for (const spelling of ['KEY=x', 'k%65y=x', 'key%00=x', 'key[]=x', '+key=x', 'a;key=x', 'Access_Token=x'])
    t.equal(
      await location('app.gate.example', `/key?${spelling}&a=b`),
      told('http://app.gate.example/key?a=b'),
      spelling,
    );
});

t.test('what an error handler cannot be is an error at load, with its place', (t) => {
  const findings = (entry: object) => {
    const folder = t.testdir({
      'r.yaml': apiRule('gate.example', [rule('/in', ['GET'], 'read', { scopegate: { errors: [entry] } })]),
    });
    return loadRules([join(folder, 'r.yaml')], options).findings.map(
      ({ code, message }) => `${code} ${message}`,
    );
  };
  for (const [entry, expected] of [
    [{ handler: 'redirect' }, /must have the field "to"/],
    ...[
      '//evil.example',
      '/\\evil.example',
      'javascript:alert(1)',
      'https://a@b',
      'ftp://x',
      'x',
      'https:///a',
      '/a b',
    ].map((to) => [redirect({ to }), /errors\.0\.config\.to: must be an http or https URL/] as const),
    [
      redirect({ return_to_query_param: undefined, return_to_hosts: ['a'] }),
      /has no effect unless return_to_query_param is set/,
    ],
    [redirect({ return_to_hosts: ['https://a'] }), /^invalid-value/],
    [redirect({ code: 307 }), /^invalid-value/],
    [redirect({ realm: 'x' }), /redirect has no such field/],
    [redirect({ when: [{ error: ['internal_server_error'] }] }), /^invalid-value/],
    [{ handler: 'json', config: { to: '/x' } }, /json has no such field/],
    [{ handler: 'www_authenticate', config: { realm: '"' } }, /printable ASCII/],
    [{ handler: 'html' }, /^invalid-value/],
  ] as const) {
    const found = findings(JSON.parse(JSON.stringify(entry)));
    t.equal(found.length, 1, JSON.stringify(entry) + JSON.stringify(found));
    t.match(found[0], expected);
  }
  t.end();
});
