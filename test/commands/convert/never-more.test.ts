import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { resolveService } from '../../../src/rules/apirule/service.js';
import { access, configuration, convert, enabled, matching, UNKNOWN } from './oathkeeper-setup.js';

const SERVE = { api: { host: '127.0.0.1', port: 4456 } };

/** Converts rules with a configuration that says nothing else worth a finding. */
async function withConfiguration(t: Test, rules: readonly object[], more: Record<string, unknown> = {}) {
  return await convert(
    t,
    { 'oathkeeper.yml': configuration({ serve: SERVE, ...more }), 'rules.json': rules },
    (at) => ['--config', at('oathkeeper.yml'), at('rules.json')],
  );
}

t.test('every rule is forwarded to its own upstream, whatever others are called', async (t) => {
  for (const urls of [
    ['http://svc:8080', 'https://svc:8443'],
    ['https://svc:8443', 'http://svc:8080', 'http://svc:9090'],
    ['http://svc', 'https://svc'],
    ['https://svc', 'https://svc:8443', 'http://svc:443', 'http://svc-443', 'https://svc-8443'],
    ['http://a.b.svc.cluster.local:80', 'https://a.b.svc.cluster.local:443'],
    ['https://default', 'http://other:81', 'http://default:82'],
    ['http://orders:80', 'https://orders.shop:443', 'http://orders.shop:81'],
    ['https://orders.shop:443', 'http://orders:80'],
    ['https://no-upstream', ''],
  ]) {
    for (const namespace of [[], ['--namespace', 'shop']]) {
      const rules = urls.map((url, index) =>
        matching(`http://depot.example/${index}`, { id: `r${index}`, upstream: { url } }),
      );
      const { folder, lines } = await convert(
        t,
        { 'oathkeeper.yml': configuration({ serve: SERVE }), 'rules.json': rules },
        (at) => ['--config', at('oathkeeper.yml'), '--out', at('out'), ...namespace, at('rules.json')],
      );
      const read = (file: string) => parse(readFileSync(join(folder, 'out', file), 'utf8'));
      const { services } = read('scopegate.yaml');
      const prefix = namespace.length > 0 ? 'shop.' : '';
      const found = urls.map((_, index) => {
        const { service } = read(`rules/${prefix}r${index}.yaml`).spec;
        const upstream = resolveService(services, { ...service, namespace: namespace[1] ?? 'default' });
        return typeof upstream === 'string' ? upstream : upstream.origin;
      });
      const wanted = urls.map((url) => new URL(url || 'http://no-upstream').origin);
      t.same(found, wanted, `${urls.join(' ')} ${namespace.join(' ')} ${lines.join('\n')}`);
    }
  }
});

t.test('without a configuration, the entry that a service needs is told', async (t) => {
  const { lines } = await convert(t, {
    'rules.json': [
      matching('http://depot.example/1', { id: 'a', upstream: { url: 'http://svc:8080' } }),
      matching('http://depot.example/2', { id: 'b', upstream: { url: 'https://svc:8443' } }),
    ],
  });
  t.match(lines[0], /not-carried-over 1\.upstream\.url: .*\{ svc-8443: https:\/\/svc:8443 \}/);
  t.equal(lines.length, 2);
});

t.test('required scopes are compared exactly where Oathkeeper had no strategy', async (t) => {
  const using = (handler: string, config: object) => [
    access({ authenticators: [{ handler, config: { required_scope: ['j.read'], ...config } }] }),
  ];
  const general = (handler: string, strategy: string | undefined) => {
    const config = {
      ...(handler === 'jwt'
        ? { jwks_urls: ['https://as.example/keys'] }
        : { introspection_url: 'http://hydra:4445/i' }),
      ...(strategy === undefined ? {} : { scope_strategy: strategy }),
    };
    return { [handler]: { enabled: true, config } };
  };
  const hierarchic = general('oauth2_introspection', 'hierarchic');
  for (const [handler, own, ofAll, expected, finding] of [
    ['jwt', undefined, undefined, 'exact', /authenticators\.0\.config\.required_scope: .*exactly/],
    ['jwt', undefined, 'none', 'exact', /required_scope: .*exactly/],
    ['jwt', 'none', 'wildcard', 'exact', /scope_strategy: .*exactly/],
    ['jwt', 'none', undefined, 'exact', /scope_strategy: .*exactly/],
    ['jwt', undefined, 'wildcard', 'wildcard', undefined],
    ['jwt', 'hierarchic', undefined, 'hierarchic', undefined],
    ['oauth2_introspection', 'none', 'hierarchic', 'exact', /scope_strategy: .*exactly/],
    ['oauth2_introspection', 'exact', 'hierarchic', 'exact', undefined],
    ['oauth2_introspection', undefined, 'hierarchic', undefined, undefined],
  ] as const) {
    const rules = using(handler, own === undefined ? {} : { scope_strategy: own });
    const converted = await withConfiguration(t, rules, {
      authenticators: { ...hierarchic, ...general(handler, ofAll) },
    });
    const [strategy] = converted.rules[0]?.spec.rules[0].accessStrategies ?? [];
    const text = `${handler} ${own} ${ofAll} ${converted.lines.join('\n')}`;
    t.equal((strategy?.config as { scope_strategy?: string } | undefined)?.scope_strategy, expected, text);
    t.equal(converted.lines.length, finding === undefined ? 1 : 2, text);
    if (finding !== undefined) t.match(converted.lines[0], finding);
  }
  for (const [handler, own] of [
    ['jwt', {}],
    ['jwt', { scope_strategy: 'none' }],
    ['oauth2_introspection', { scope_strategy: 'none' }],
  ] as const) {
    const keys = handler === 'jwt' ? { jwks_urls: ['https://as.example/keys'] } : {};
    const { rules, lines } = await convert(t, { 'rules.json': using(handler, { ...own, ...keys }) });
    t.match(rules[0]?.spec.rules[0].accessStrategies, [{ config: { scope_strategy: 'exact' } }]);
    t.match(lines[0], /^rules\.json:\d+:\d+ warning not-carried-over .*exactly/);
  }
});

t.test('a rule with a handler that Oathkeeper did not enable is left out', async (t) => {
  const redirect = { handler: 'redirect', config: { to: 'https://login.example/' } };
  for (const [more, ofAll, place] of [
    [{}, { authenticators: { noop: { enabled: false } } }, 'authenticators.0'],
    [{}, { authenticators: { noop: {} } }, 'authenticators.0'],
    [{ authenticators: [{ handler: 'unauthorized' }] }, {}, 'authenticators.0'],
    [{ authenticators: [{ handler: 'noop' }, { handler: 'unauthorized' }] }, {}, 'authenticators.1'],
    [{}, { authorizers: { allow: { enabled: false } } }, 'authorizer'],
    [{ authorizer: { handler: 'deny' } }, {}, 'authorizer'],
    [{}, { mutators: { noop: { enabled: false } } }, 'mutators.0'],
    [{ mutators: [{ handler: 'noop' }, { handler: 'cookie' }] }, {}, 'mutators.1'],
    [{ errors: [redirect] }, { errors: { handlers: { redirect: { enabled: false } } } }, 'errors.0'],
    [{ errors: [redirect] }, {}, 'errors.0'],
  ] as const) {
    const { code, rules, lines } = await withConfiguration(t, [access(more)], ofAll);
    t.equal(code, 1);
    t.equal(rules.length, 0, place);
    t.match(
      lines[0],
      new RegExp(`^rules\\.json:\\d+:\\d+ error rule-left-out 0\\.${place}: .*enabled: true`),
    );
    t.equal(lines.length, 2, lines.join('\n'));
  }
  const errors = { handlers: enabled('redirect') };
  const good = await withConfiguration(t, [access({ errors: [redirect] })], { errors });
  t.same(good.lines, ['convert: 1 APIRule, 0 findings']);
  const unknown = await convert(t, { 'rules.json': [access(), access()] });
  t.equal(unknown.code, 0);
  t.equal(unknown.told.filter((line) => UNKNOWN.test(line)).length, 1, 'told once');
});

t.test('a method that is not in capitals matched nothing, and is left out', async (t) => {
  const of = (...methods: string[]) => [access({ match: { url: 'http://depot.example/x', methods } })];
  const some = await convert(t, { 'rules.json': of('get', 'Post', 'PUT') });
  t.same(some.rules[0]?.spec.rules[0].methods, ['PUT']);
  t.match(some.lines[0], /warning not-carried-over 0\.match\.methods\.0: .*get/);
  t.match(some.lines[1], /warning not-carried-over 0\.match\.methods\.1: .*Post/);
  const none = await convert(t, { 'rules.json': of('get') });
  t.equal(none.rules.length, 0);
  t.match(none.lines.join('\n'), /error rule-left-out/);
});

t.test('what the settings have in place of the configuration is told', async (t) => {
  const url = { oauth2_introspection: { enabled: true } };
  const { lines } = await withConfiguration(t, [access()], {
    serve: { api: { port: 4456, host: '' } },
    authenticators: url,
  });
  t.match(lines[0], /^oathkeeper\.yml:\d+:\d+ warning not-carried-over serve\.api\.host: .*127\.0\.0\.1/);
  t.match(lines[1], /not-carried-over authenticators\.oauth2_introspection\.config\.introspection_url: /);
  t.equal(lines.length, 3);
});

t.test('an error handler for some addresses of clients is told in plain words', async (t) => {
  for (const request of [{ cidr: ['10.0.0.0/8'] }, { remote_ip: { match: ['10.0.0.0/8'] } }]) {
    const when = [{ error: ['unauthorized'], request }];
    const redirect = { handler: 'redirect', config: { to: 'https://login.example/', when } };
    const { rules, lines } = await convert(t, { 'rules.json': [access({ errors: [redirect] })] });
    t.equal(rules.length, 1);
    t.notOk('errors' in (rules[0]?.spec.rules[0].scopegate ?? {}));
    t.match(
      lines[0],
      /warning not-carried-over 0\.errors\.0\.config\.when\.0\.request\.\w+: .*address of the client/,
    );
  }
});

/** What the API server prints of a rule of Maester. */
function resource(name: string, namespace: unknown): object {
  const { id: _, ...spec } = matching(`http://depot.example/${name}`);
  return {
    apiVersion: 'oathkeeper.ory.sh/v1alpha1',
    kind: 'Rule',
    metadata: { name, namespace },
    spec,
  };
}

t.test('a Rule resource keeps its namespace, unless --namespace says another', async (t) => {
  const list = { kind: 'List', items: [resource('one', 'shop'), resource('one', 'depot')] };
  const metadata = (text: string) =>
    [...text.matchAll(/^ {2}(name(?:space)?: .*)$/gm)].map(([, each]) => each);
  const kept = await convert(t, { 'rules.json': list });
  t.same(metadata(kept.out), ['name: one', 'namespace: shop', 'name: one', 'namespace: depot']);
  const given = await convert(t, { 'rules.json': list }, (at) => ['--namespace', 'own', at('rules.json')]);
  t.same(metadata(given.out), ['name: one', 'namespace: own', 'name: one-2', 'namespace: own']);
  const wrong = await convert(t, { 'rules.json': resource('one', '../x') });
  t.match(wrong.lines[0], /error rule-left-out metadata\.namespace: /);
  t.equal(wrong.rules.length, 0);
});

t.test('the configuration is read out of its ConfigMap, and nothing is converted without one', async (t) => {
  const map = (content: object) => ({
    kind: 'ConfigMap',
    metadata: { name: 'oathkeeper-config' },
    data: { 'oathkeeper.yml': JSON.stringify(content), README: 'x' },
  });
  const off = configuration({ serve: SERVE, authenticators: { noop: { enabled: false } } });
  for (const content of [map(off), { kind: 'List', items: [map(off)] }]) {
    const { lines, rules } = await convert(t, { 'cm.yaml': content, 'rules.json': [access()] }, (at) => [
      '--config',
      at('cm.yaml'),
      at('rules.json'),
    ]);
    t.match(lines[0], /error rule-left-out .*authenticators\.noop\.enabled/);
    t.equal(rules.length, 0);
  }
  for (const content of [[access()], { kind: 'List', items: [map(off), map(off)] }, '{']) {
    const { code, lines, out } = await convert(t, { 'cm.yaml': content, 'rules.json': [access()] }, (at) => [
      '--config',
      at('cm.yaml'),
      at('rules.json'),
    ]);
    t.equal(code, 1);
    t.match(lines[0], /^cm\.yaml.* error (?:not-a-configuration|yaml-syntax) /);
    t.equal(out, '');
    t.match(lines.at(-1), /^convert: 0 APIRules, \d findings?$/);
  }
});

t.test('a Rule resource and its copy in the ConfigMap of Maester give one rule, and are told', async (t) => {
  const copy = matching('http://depot.example/one', { id: 'one.shop' });
  const files = { 'one.json': resource('one', 'shop'), 'rules.json': [copy] };
  for (const order of [
    ['one.json', 'rules.json'],
    ['rules.json', 'one.json'],
  ]) {
    const { rules, lines } = await convert(t, files, (at) => order.map(at));
    t.equal(rules.length, 1);
    t.match(lines[0], new RegExp(`^${order[1]}:.* error rule-left-out .*Give one of the two$`));
    t.equal(lines.length, 2);
  }
});

t.test('no upstream takes the service of an APIRule that is converted with it', async (t) => {
  const apiRule = {
    apiVersion: 'gateway.kyma-project.io/v1beta1',
    kind: 'APIRule',
    metadata: { name: 'e', namespace: 't' },
    spec: {
      ...{ host: 'e.example', gateway: 'a/b', service: { name: 'svc', port: 80 } },
      rules: [{ path: '/a', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] }],
    },
  };
  const rules = [access({ upstream: { url: 'https://svc:8443' } })];
  const files = { 'oathkeeper.yml': configuration({ serve: SERVE }), 'rules.json': rules, 'e.json': apiRule };
  const { out } = await convert(t, files, (at) => [
    ...['--config', at('oathkeeper.yml')],
    ...[at('rules.json'), at('e.json')],
  ]);
  t.match(out, '#   svc-8443: https://svc:8443');
  t.notMatch(out, '#   svc: ');
});
