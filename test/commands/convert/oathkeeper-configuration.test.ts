import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { main } from '../../../src/cli.js';
import { ask } from '../../ask.js';
import { startTestGateway } from '../../gateway.js';
import { json, startStore } from '../../store.js';
import { Recorder } from '../io.js';
import { access, configuration, convert, matching, type Rule } from './oathkeeper-setup.js';

const CONFIGURATION = configuration({
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
});

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
        'serve.api.host',
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
      services: {
        default: 'http://{name}:{port}',
        parcels: 'https://parcels:443',
        'parcels-8080': 'http://parcels:8080',
      },
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
    {
      'oathkeeper.yml': configuration({ serve: { proxy: { cors }, api: { host: '127.0.0.1' } } }),
      'rules.json': [access()],
    },
    (at) => ['--config', at('oathkeeper.yml'), at('rules.json')],
  );
  t.match(
    lines[0],
    /^oathkeeper\.yml:\d+:\d+ warning not-carried-over serve\.proxy\.cors\.allow_credentials: /,
  );
  t.match(rules[0]?.spec.corsPolicy, { allowOrigins: [{ exact: '*' }], maxAge: '60s' });
  t.notOk('allowCredentials' in (rules[0]?.spec.corsPolicy ?? {}));
});

/** Where Oathkeeper listens, in a way that scopegate keeps. */
const SERVE = { api: { host: '127.0.0.1', port: 4456 } };

t.test('globs, ConfigMaps and resources of Maester are noticed', async (t) => {
  const globs = [matching('http://depot.example/<**>')];
  const read = await convert(t, { 'rules.json': globs });
  t.equal(read.rules[0]?.spec.rules[0].path, '/(?:.*)');
  t.match(read.lines[0], /^rules\.json:1:1 warning read-as-globs /);
  const said = await convert(t, { 'rules.json': globs }, (at) => ['--glob', at('rules.json')]);
  t.same(said.lines, ['convert: 1 APIRule, 0 findings']);
  const configured = await convert(
    t,
    {
      'rules.json': globs,
      'oathkeeper.yml': configuration({ serve: SERVE, access_rules: { matching_strategy: 'glob' } }),
    },
    (at) => ['--config', at('oathkeeper.yml'), at('rules.json')],
  );
  t.same(configured.lines, ['convert: 1 APIRule, 0 findings']);
  t.match(configured.out, /^# scopegate\.yaml:\n# # Converted from/);

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
  const named = await convert(
    t,
    { 'oathkeeper.yml': configuration({ access_rules: { repositories: [inline] } }) },
    (at) => ['--config', at('oathkeeper.yml')],
  );
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
