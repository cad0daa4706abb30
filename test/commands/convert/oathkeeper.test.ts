import t from 'tap';
import type { Strategy } from '../../../src/commands/convert/glob.js';
import { readMatchUrl } from '../../../src/commands/convert/url.js';
import { access, convert, matching } from './oathkeeper-setup.js';

t.test('hosts: names, ports and alternatives; any host as * or as those of --hosts', (t) => {
  const given = ['a.example', 'b.example'];
  for (const [url, hosts, path, strategy, names] of [
    ['http://<127.0.0.1|localhost>:4455/x', ['127.0.0.1', 'localhost'], '/x'],
    ['http://<localhost|127\\.0\\.0\\.1>:4455/x', ['localhost', '127.0.0.1'], '/x'],
    ['http://<(localhost|oathkeeper):4455>/x', ['localhost', 'oathkeeper'], '/x'],
    ['http://<localhost:4455|oathkeeper:4456>/x', ['localhost', 'oathkeeper'], '/x'],
    ['http://depot.example:<\\d+>/x', ['depot.example'], '/x'],
    ['http://depot.example<(:\\d+)?>/x', ['depot.example'], '/x'],
    ['<https|http>://<[^/]+>/x/<.*>', ['*'], '/x/(.*)'],
    ['<^(http|https)>://depot.example/x', undefined, ''],
    ['http<s?>://<.*>/x', ['*'], '/x'],
    ['http<s>://depot.example/x', undefined, ''],
    ['<https?://depot\\.example>/x', ['depot.example'], '/x'],
    ['<https?://depot\\.example/.*>', ['depot.example'], '(/.*)'],
    ['<https?://(a/b)>/x', undefined, ''],
    ['http://<.*>', ['*'], '/.*'],
    ['http://<[^/]+>', undefined, ''],
    ['http://<.*>.depot.example/x', ['*.depot.example'], '/x'],
    ['http://<[^/]+>.depot.example:4455/x', ['*.depot.example'], '/x'],
    ['http://<[^.]+>.depot.example/x', undefined, ''],
    ['http://<[a-z]+>.example/x', given, '/x', 'regexp', given],
    ['http://<[^/]+>/x', given, '/x', 'regexp', given],
    ['http://<a.*>/x', ['a.example'], '/x', 'regexp', given],
    ['http://<{a,b}>.example/<**>', ['a.example', 'b.example'], '/(?:.*)', 'glob'],
    ['http://<**>/x', ['*'], '/x', 'glob'],
    ['http://<*>/x', undefined, '', 'glob'],
  ] as const) {
    const read = () => readMatchUrl(url, (strategy ?? 'regexp') as Strategy, names);
    if (hosts === undefined) t.throws(read, url);
    else t.match(read(), { hosts, path }, url);
  }
  t.end();
});

t.test('a host that stands for any host answers on every name, and exact names before it', async (t) => {
  const { code, load, lines } = await convert(t, {
    'rules.json': [
      matching('<https|http>://<[^/]+>/x/<.*>'),
      matching('http://depot.example/y', { id: 'y' }),
    ],
  });
  t.equal(code, 0, lines.join('\n'));
  const { table, findings } = load();
  t.same(findings, []);
  for (const host of ['depot.example', 'a.b.c', 'localhost', '127.0.0.1', '[::1]']) {
    t.equal(table?.find(host, 'GET', '/x/1')?.id, 'default/parcels#0', host);
  }
  t.equal(table?.find('*', 'GET', '/x/1'), undefined);
  t.equal(table?.find('depot.example', 'GET', '/y')?.id, 'default/y#0');
  t.equal(table?.find('other.example', 'GET', '/y'), undefined);
});

t.test('strip_path, a path of the upstream and preserve_host', async (t) => {
  const upstream = (url: string, more: object) => ({ upstream: { url, ...more } });
  const { code, rules, lines, load } = await convert(t, {
    'rules.json': [
      matching('http://depot.example/api/<.*>', upstream('http://u', { strip_path: '/api/' })),
      matching('http://depot.example/v1<.*>', upstream('http://u/base/', { strip_path: 'v1' })),
      matching(
        'http://depot.example/v2<.+>',
        upstream('http://u', { strip_path: '/v2', preserve_host: true }),
      ),
      matching('http://depot.example/plain', upstream('http://u', { strip_path: '/', preserve_host: false })),
    ],
  });
  t.equal(code, 0, lines.join('\n'));
  t.same(
    rules.map(({ spec }) => [spec.rules[0].path, spec.rules[0].scopegate]),
    [
      ['/api/(.*)', { stripPath: '/api' }],
      ['/v1((?:/.*)?)', { stripPath: '/v1', upstreamPath: '/base' }],
      ['/v2(/.*)', { stripPath: '/v2', preserveHost: true }],
      ['/plain', undefined],
    ],
  );
  t.same(load().findings, [], 'and they check clean');
});

t.test('authorizers, with their groups counted from the path on', async (t) => {
  const payload = '{"part": "{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}"}';
  const { code, rules, lines } = await convert(t, {
    'rules.json': [
      matching('<https?>://depot.example/<[a-z]+>', {
        authorizer: { handler: 'remote_json', config: { remote: 'http://opa/ask', payload } },
      }),
      matching('http://depot.example/1/x', { authorizer: { handler: 'deny' } }),
      matching('http://depot.example/2/x', {
        authorizer: { handler: 'remote', config: { remote: 'http://r' } },
      }),
    ],
  });
  t.equal(code, 0, lines.join('\n'));
  t.match(
    rules.map(({ spec }) => spec.rules[0].scopegate?.authorizers),
    [
      [{ handler: 'remote_json', config: { payload: payload.replace('Groups 1', 'Groups 0') } }],
      [{ handler: 'deny' }],
      [{ handler: 'remote', config: { remote: 'http://r' } }],
    ],
  );
});

t.test('several authenticators, in the order that scopegate has', async (t) => {
  const anonymous = { handler: 'anonymous' };
  const token = { handler: 'oauth2_introspection' };
  const cookie = {
    handler: 'cookie_session',
    config: { check_session_url: 'http://k/whoami', preserve_path: true, force_method: 'GET' },
  };
  const noop = { handler: 'noop' };
  const unauthorized = { handler: 'unauthorized' };
  for (const [given, expected, findings] of [
    [[token, anonymous], ['oauth2_introspection', 'anonymous'], 0],
    [[anonymous, token], ['oauth2_introspection', 'anonymous'], 0],
    [[cookie, token, anonymous], ['cookie_session', 'oauth2_introspection', 'anonymous'], 0],
    [[token, unauthorized], ['oauth2_introspection'], 0],
    [[token, anonymous, noop], ['oauth2_introspection', 'anonymous'], 0],
    [[noop, token], ['noop'], 0],
    [[unauthorized, token], ['unauthorized'], 0],
    [[cookie, noop], ['cookie_session', 'anonymous'], 1],
    [[anonymous, cookie], undefined, 1],
  ] as const) {
    const { rules, lines } = await convert(t, { 'rules.json': [access({ authenticators: given })] });
    const names = given.map(({ handler }) => handler).join();
    t.same(
      rules[0]?.spec.rules[0].accessStrategies.map(({ handler }) => handler),
      expected,
      names,
    );
    t.equal(lines.length - 1, findings, `${names} ${lines.join('\n')}`);
  }
});

t.test('how long a failed call of a handler is made again is carried over', async (t) => {
  const retry = { give_up_after: '3s', max_delay: '100ms' };
  const config = { token_url: 'http://hydra:4444/oauth2/token', retry };
  const { code, rules, lines } = await convert(t, {
    'rules.json': [access({ authenticators: [{ handler: 'oauth2_client_credentials', config }] })],
  });
  t.equal(code, 0, lines.join('\n'));
  t.same(rules[0]?.spec.rules[0].accessStrategies, [{ handler: 'oauth2_client_credentials', config }]);
});
