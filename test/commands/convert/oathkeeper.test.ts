import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseAllDocuments, stringify } from 'yaml';
import { main } from '../../../src/cli.js';
import type { Strategy } from '../../../src/commands/convert/glob.js';
import { readMatchUrl } from '../../../src/commands/convert/url.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { startTestGateway } from '../../gateway.js';
import { options } from '../../rules/options.js';
import { json, startStore } from '../../store.js';
import { Recorder } from '../io.js';

/** An access rule; what is not told is the plainest. */
function access(more: object = {}): Record<string, unknown> {
  return {
    id: 'parcels',
    match: { url: 'http://depot.example/parcels', methods: ['GET'] },
    authenticators: [{ handler: 'noop' }],
    authorizer: { handler: 'allow' },
    mutators: [{ handler: 'noop' }],
    upstream: { url: 'http://parcels:8080' },
    ...more,
  };
}

const matching = (url: string, more: object = {}) => access({ match: { url, methods: ['GET'] }, ...more });

interface Rule {
  readonly path: string;
  readonly methods: readonly string[];
  readonly accessStrategies: readonly { readonly handler: string; readonly config?: object }[];
  readonly mutators?: readonly object[];
  readonly scopegate?: Readonly<Record<string, unknown>>;
}

async function convert(
  t: Test,
  files: Readonly<Record<string, unknown>>,
  args: (at: (name: string) => string) => readonly string[] = (at) => [at('rules.json')],
) {
  const folder = t.testdir({});
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : stringify(content));
  }
  const io = new Recorder();
  const at = (name: string) => join(folder, name);
  const code = await main(['convert', ...args(at)], io);
  const lines = io.stderr.replaceAll(`${folder}/`, '').trimEnd().split('\n');
  const rules = parseAllDocuments(io.stdout)
    .map(
      (document) => document.toJS() as { spec: { host: string; rules: [Rule]; corsPolicy?: object } } | null,
    )
    .filter((document) => document !== null);
  const target = join(folder, 'apirules.yaml');
  writeFileSync(target, io.stdout);
  return { code, lines, rules, folder, out: io.stdout, load: () => loadRules([target], options) };
}

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

const CONFIGURATION = {
  serve: {
    proxy: {
      port: 4455,
      cors: { enabled: true, allowed_origins: ['https://*.depot.example'], allow_credentials: true },
      trust_forwarded_headers: true,
    },
    api: { port: 4456 },
  },
  access_rules: { matching_strategy: 'regexp', repositories: ['https://rules.example/x.json'] },
  errors: {
    fallback: ['json', 'redirect'],
    handlers: {
      json: { enabled: true, config: { when: [{ error: ['forbidden'] }] } },
      redirect: {
        enabled: true,
        config: {
          to: 'https://login.example/',
          return_to_query_param: 'return_to',
          when: [
            {
              error: ['unauthorized', 'internal_server_error'],
              request: { header: { accept: ['text/html'] } },
            },
          ],
        },
      },
    },
  },
  authenticators: {
    cookie_session: {
      enabled: true,
      config: {
        check_session_url: 'http://kratos:4433/whoami',
        preserve_path: true,
        force_method: 'GET',
        only: ['a'],
      },
    },
    oauth2_introspection: {
      enabled: true,
      config: {
        introspection_url: 'http://hydra:4445/admin/oauth2/introspect',
        scope_strategy: 'hierarchic',
        cache: { enabled: true, ttl: '30s', max_cost: 1000 },
        trusted_issuers: ['https://issuer.example'],
      },
    },
  },
  mutators: {
    header: { enabled: true, config: { headers: { 'X-User': '{{ print .Subject }}', 'X-Of': 'all' } } },
  },
  log: { level: 'debug' },
};

t.test(
  'the configuration of Oathkeeper gives handlers their config, and scopegate its settings',
  async (t) => {
    const { code, lines, folder } = await convert(
      t,
      {
        'oathkeeper.yml': CONFIGURATION,
        'rules.json': [
          access({
            authenticators: [
              { handler: 'cookie_session', config: { only: ['b'] } },
              { handler: 'oauth2_introspection', config: { required_scope: ['read'] } },
            ],
            mutators: [{ handler: 'header', config: { headers: { 'X-Of': 'one' } } }],
            upstream: { url: 'https://parcels' },
          }),
          matching('http://depot.example/own', {
            id: 'own',
            authenticators: [
              { handler: 'oauth2_introspection', config: { introspection_url: 'http://other/introspect' } },
            ],
            errors: [{ handler: 'json' }],
          }),
        ],
      },
      (at) => ['--config', at('oathkeeper.yml'), '--out', at('out'), at('rules.json')],
    );
    t.equal(code, 1, 'what has no counterpart is listed');
    t.same(
      lines.map((line) => /not-carried-over ([^ :]+)/.exec(line)?.[1]).filter((place) => place !== undefined),
      [
        'log',
        'serve.proxy.trust_forwarded_headers',
        'authenticators.oauth2_introspection.config.cache.max_cost',
        'access_rules.repositories.0',
        'errors.handlers.redirect.config.when.0.error',
      ],
    );
    t.match(lines[0], /^oathkeeper\.yml:\d+:\d+ warning/);
    t.same(readdirSync(join(folder, 'out')).sort(), ['report.txt', 'rules', 'scopegate.yaml']);
    const read = (name: string) =>
      parseAllDocuments(readFileSync(join(folder, 'out', name), 'utf8'))[0]?.toJS() as {
        spec: { rules: [Rule]; corsPolicy: object };
      };
    t.same(read('scopegate.yaml'), {
      listen: { proxy: { port: 4455 }, admin: { port: 4456 } },
      rules: ['./rules'],
      services: { default: 'http://{name}:{port}', parcels: 'https://parcels:443' },
      introspection: {
        url: 'http://hydra:4445/admin/oauth2/introspect',
        scopeStrategy: 'hierarchic',
        cache: { ttl: '30000ms' },
      },
    });
    const redirect = {
      handler: 'redirect',
      config: {
        to: 'https://login.example/',
        return_to_query_param: 'return_to',
        when: [{ error: ['unauthorized'], request: { header: { accept: ['text/html'] } } }],
      },
    };
    const parcels = read('rules/parcels.yaml').spec;
    t.match(parcels.corsPolicy, {
      allowOrigins: [{ regex: 'https://[^/]*\\.depot\\.example' }],
      allowCredentials: true,
    });
    t.match(parcels.rules[0], {
      accessStrategies: [
        {
          handler: 'cookie_session',
          config: { check_session_url: 'http://kratos:4433/whoami', only: ['b'] },
        },
        {
          handler: 'oauth2_introspection',
          config: { required_scope: ['read'], trusted_issuers: ['https://issuer.example'] },
        },
      ],
      mutators: [{ config: { headers: { 'X-User': '{{ print .Subject }}', 'X-Of': 'one' } } }],
      scopegate: { errors: [{ handler: 'json', config: { when: [{ error: ['forbidden'] }] } }, redirect] },
    });
    t.notOk(
      'introspection_url' in (parcels.rules[0].accessStrategies[1]?.config ?? {}),
      'the settings have it',
    );
    const own = read('rules/own.yaml').spec.rules[0];
    t.match(own.accessStrategies, [{ config: { introspection_url: 'http://other/introspect' } }]);
    t.equal(own.scopegate, undefined, 'JSON is what scopegate answers anyway');

    const check = new Recorder();
    t.equal(await main(['check', '--config', join(folder, 'out', 'scopegate.yaml')], check), 0, check.stdout);
  },
);

t.test('credentials for any origin, which no browser takes, are listed and left out', async (t) => {
  const cors = { enabled: true, allowed_origins: ['*'], allow_credentials: true, max_age: 60 };
  const { rules, lines } = await convert(
    t,
    { 'oathkeeper.yml': { serve: { proxy: { cors } } }, 'rules.json': [access()] },
    (at) => ['--config', at('oathkeeper.yml'), at('rules.json')],
  );
  t.match(
    lines[0],
    /^oathkeeper\.yml:\d+:\d+ warning not-carried-over serve\.proxy\.cors\.allow_credentials: /,
  );
  t.match(rules[0]?.spec.corsPolicy, { allowOrigins: [{ exact: '*' }], maxAge: '60s' });
  t.notOk('allowCredentials' in (rules[0]?.spec.corsPolicy ?? {}));
});

t.test('globs, ConfigMaps and resources of Maester are noticed', async (t) => {
  const globs = [matching('http://depot.example/<**>')];
  const read = await convert(t, { 'rules.json': globs });
  t.equal(read.rules[0]?.spec.rules[0].path, '/(?:.*)');
  t.match(read.lines[0], /^rules\.json:1:1 warning read-as-globs /);
  const said = await convert(t, { 'rules.json': globs }, (at) => ['--glob', at('rules.json')]);
  t.same(said.lines, ['convert: 1 APIRule, 0 findings']);
  const configured = await convert(
    t,
    { 'rules.json': globs, 'oathkeeper.yml': { access_rules: { matching_strategy: 'glob' } } },
    (at) => ['--config', at('oathkeeper.yml'), at('rules.json')],
  );
  t.same(configured.lines, ['convert: 1 APIRule, 0 findings']);
  t.match(configured.out, /^# scopegate\.yaml:\n# # Made of/);

  const configMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'rules' },
    data: { 'access-rules.json': JSON.stringify([access()]), 'config.yaml': 'serve: {}\n', README: 'x' },
  };
  const mapped = await convert(t, { 'rules.json': configMap });
  t.equal(mapped.rules.length, 1);
  t.match(mapped.lines[0], /^rules\.json:\d+:\d+ warning not-carried-over data\.config\.yaml: .*--config/);
  const { upstream: _, id: __, ...spec } = access();
  const resource = {
    apiVersion: 'oathkeeper.ory.sh/v1alpha1',
    kind: 'Rule',
    metadata: { name: 'own' },
    spec: { ...spec, upstream: { url: 'http://u', stripPath: '/parcels', preserveHost: true } },
  };
  const listed = await convert(t, { 'rules.json': { kind: 'List', items: [resource, configMap] } });
  t.equal(listed.rules.length, 2, listed.lines.join('\n'));
  t.match(
    listed.rules.map(({ spec }) => spec.rules[0].scopegate).find((each) => each !== undefined),
    { stripPath: '/parcels', preserveHost: true },
  );
});

t.test('the configuration can name its rules, and is no rule itself', async (t) => {
  const inline = `inline://${Buffer.from(JSON.stringify([access()])).toString('base64')}`;
  const named = await convert(t, { 'oathkeeper.yml': { access_rules: { repositories: [inline] } } }, (at) => [
    '--config',
    at('oathkeeper.yml'),
  ]);
  t.equal(named.rules.length, 1, named.lines.join('\n'));
  const wrong = await convert(t, { 'rules.json': CONFIGURATION });
  t.match(wrong.lines[0], /error not-a-rule .*--config/);
  const other = await convert(t, { 'rules.json': [access()] }, (at) => [
    '--config',
    at('rules.json'),
    at('rules.json'),
  ]);
  t.match(other.lines[0], /error not-a-configuration/);
  t.equal(await main(['convert', '--hosts', 'http://x', 'y'], new Recorder()), 2);
});

t.test('converted rules decide as Oathkeeper does', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  store.respond = (message, response, body) => {
    const good = message.headers.cookie === 'a=good';
    json(good ? { subject: 'carol', extra: {} } : {}, good ? 200 : 401)(message, response, body);
  };
  const session = { check_session_url: store.url, preserve_path: true, force_method: 'GET' };
  const { out, lines } = await convert(t, {
    'rules.json': [
      matching('http://<gate.example|other.example>:4455/api/<.*>', {
        upstream: { url: 'http://upstream', strip_path: '/api' },
        authenticators: [
          { handler: 'cookie_session', config: session },
          { handler: 'oauth2_introspection', config: { required_scope: ['read'] } },
          { handler: 'anonymous' },
        ],
        mutators: [{ handler: 'header', config: { headers: { 'X-User': '{{ print .Subject }}' } } }],
      }),
      matching('http://<[^/]+>/shut', { id: 'shut', authorizer: { handler: 'deny' } }),
      matching('http://gate.example/page', {
        id: 'page',
        authenticators: [{ handler: 'oauth2_introspection' }],
        errors: [
          {
            handler: 'redirect',
            config: { to: 'https://login.example/', when: [{ error: ['unauthorized'] }] },
          },
        ],
      }),
    ],
  });
  t.same(lines, ['convert: 4 APIRules, 0 findings']);
  const gate = await startTestGateway(t, { rules: out });
  for (const [path, question, status, sent, user] of [
    ['/api/a', {}, 200, '/a', 'anonymous'],
    ['/api/a', { headers: { cookie: 'a=good' } }, 200, '/a', 'carol'],
    ['/api/a', { headers: { cookie: 'a=bad' } }, 401],
    ['/api/a', { token: 'good-read' }, 200, '/a', 'reader'],
    ['/api/a', { token: 'good-write' }, 403],
    ['/api/a', { token: 'bad' }, 401],
    ['/api/a', { host: 'other.example:4455' }, 200, '/a', 'anonymous'],
    ['/api/a', { host: 'third.example' }, 404],
    ['/api/a', { method: 'POST' }, 404],
    ['/shut', { host: 'third.example' }, 403],
    ['/page', {}, 302],
    ['/page', { token: 'good-read' }, 200, '/page'],
  ] as const) {
    const answer = await ask(gate, path, question);
    t.equal(answer.status, status, `${path} ${JSON.stringify(question)}`);
    if (status !== 200) continue;
    const last = gate.upstream.received.at(-1);
    t.equal(last?.url, sent);
    t.equal(last?.headers['x-user'], user);
  }
});
