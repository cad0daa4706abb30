import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { apiRule, rule } from '../gateway.js';
import { Recorder } from './io.js';

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function scopegate(...args: string[]): Promise<Run> {
  const io = new Recorder();
  const code = await main(args, io);
  return { code, out: io.stdout, err: io.stderr };
}

const folder = mkdtempSync(join(tmpdir(), 'scopegate-explain-'));
t.teardown(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function settings(rules: string, overlap: 'error' | 'specific'): string {
  return write(
    `settings-${rules}-${overlap}.yaml`,
    JSON.stringify({
      rules: [rules],
      services: { default: 'http://127.0.0.1:8000' },
      introspection: { url: 'http://127.0.0.1:9/introspect' },
      matching: { overlap },
    }),
  );
}

/** The tutorial's HttpBin rules and one that overlaps them, which stands in the file before or after. */
const read = rule('/.*', ['GET'], 'read');
const post = rule('/post', ['POST'], 'write');
const head = rule('/head.*', ['GET'], 'write');
for (const [name, rules] of Object.entries({ first: [head, read, post], last: [read, post, head] })) {
  write(`${name}.yaml`, apiRule('httpbin.localhost', rules, 'httpbin'));
}
write('tutorial.yaml', apiRule('httpbin.localhost', [read, post], 'httpbin'));

t.test('an overlap is refused with both positions and a shortest witness', async (t) => {
  for (const name of ['first', 'last']) {
    const { code, out } = await scopegate('check', '--config', settings(`${name}.yaml`, 'error'));
    t.equal(code, 1);
    const line = out.split('\n').find((text) => text.includes(' error ')) ?? '';
    t.match(line, /\/head\b/, line);
    t.equal((line.match(/\.yaml:\d+:\d+/g) ?? []).length, 2, 'both positions');
  }
});

t.test('with overlap: specific the proved smaller rule decides, in any order', async (t) => {
  for (const name of ['first', 'last']) {
    const config = settings(`${name}.yaml`, 'specific');
    const decide = async (path: string, scope: string): Promise<number> =>
      (
        await scopegate(
          'explain',
          '--config',
          config,
          'GET',
          `https://httpbin.localhost${path}`,
          '--scope',
          scope,
        )
      ).code;
    t.equal(await decide('/headers', 'write'), 0);
    t.equal(await decide('/headers', 'read'), 1);
    t.equal(await decide('/get', 'read'), 0);
    t.equal(await decide('/get', 'write'), 1);
  }
});

t.test('explain says for each rule where it fails', async (t) => {
  const config = settings('first.yaml', 'specific');
  const url = 'https://httpbin.localhost/headers?token=hidden';
  const { out, code } = await scopegate(
    'explain',
    '--config',
    config,
    'GET',
    url,
    '--scope',
    'read',
    '--json',
  );
  t.equal(code, 1);
  t.match(JSON.parse(out), {
    request: { method: 'GET', host: 'httpbin.localhost', path: '/headers' },
    decision: 'deny',
    status: 403,
    error: 'insufficient_scope',
    rule: 'default/httpbin#0',
    candidates: [
      { rule: 'default/httpbin#0', failed: 'decision', scopes: ['write'] },
      { rule: 'default/httpbin#1', failed: 'overridden' },
      { rule: 'default/httpbin#2', failed: 'method' },
    ],
  });
  const text = (await scopegate('explain', '--config', config, 'GET', url, '--scope', 'write')).out;
  t.match(text, /default\/httpbin#0 .* decides: allowed/);
  t.match(text, /default\/httpbin#1 .* a more specific rule decides/);
  t.match(text, /allowed: forwarded to http:\/\/127\.0\.0\.1:8000\/headers/);
});

t.test('explain reads a target as literally as the gateway does', async (t) => {
  const config = settings('tutorial.yaml', 'error');
  const ask = async (url: string): Promise<string> =>
    (await scopegate('explain', '--config', config, 'GET', url, '--scope', 'read')).out;
  t.match(await ask('https://httpbin.localhost/a/../b'), /path \/b\n/);
  t.match(await ask('https://httpbin.localhost/../b'), /denied: 400 malformed_target/);
  t.match(await ask('https://httpbin.localhost/a%2fb'), /denied: 400 malformed_target/);
  t.match(await ask('https://HTTPBIN.localhost:8443?x'), /host httpbin\.localhost, path \//);
  t.match(await ask('https://other.localhost/get'), /2 rules are for other hosts\n\ndenied: 404/);
});

t.test('explain without a token is the answer to a request without one', async (t) => {
  const config = settings('tutorial.yaml', 'error');
  const { out, code } = await scopegate(
    'explain',
    '--config',
    config,
    'GET',
    'https://httpbin.localhost/get',
  );
  t.equal(code, 1);
  t.match(out, /denied: 401 no_token/);
});

t.test('explain puts the token where the rule reads it', async (t) => {
  for (const source of [
    { header: 'X-Token' },
    { query_parameter: 'tok' },
    { cookie: 'sid' },
    { header: 'Authorization' },
  ]) {
    const handler = {
      handler: 'oauth2_introspection',
      config: { required_scope: ['read'], token_from: source },
    };
    const only = { path: '/.*', methods: ['GET'], accessStrategies: [handler] };
    write('source.yaml', apiRule('h.localhost', [only], 'h'));
    const config = settings('source.yaml', 'error');
    t.equal(
      (await scopegate('explain', '--config', config, 'GET', 'http://h.localhost/', '--scope', 'read')).code,
      0,
    );
    t.equal(
      (await scopegate('explain', '--config', config, 'GET', 'http://h.localhost/', '--scope', 'x')).code,
      1,
    );
  }
});

t.test('bad usage is exit 2', async (t) => {
  const config = settings('tutorial.yaml', 'error');
  for (const args of [
    ['explain', 'GET', 'https://h/'],
    ['explain', '--config', config, 'GET'],
    ['explain', '--config', config, 'GET', '/no-host'],
    ['explain', '--config', config, 'GET', 'https://h/', 'more'],
    ['test', '--config', config],
  ]) {
    t.equal((await scopegate(...args)).code, 2, args.join(' '));
  }
});

t.test('test runs a table of expectations and shows what differs', async (t) => {
  const config = settings('tutorial.yaml', 'error');
  const good = write(
    'good.yaml',
    `cases:
  - { name: readers may read, request: GET https://httpbin.localhost/headers, scope: read, expect: 200, rule: default/httpbin#0 }
  - { request: GET https://httpbin.localhost/headers, scope: write, expect: 403 }
  - { request: GET https://httpbin.localhost/headers, expect: 401 }
  - { request: POST https://httpbin.localhost/post, scope: read write, expect: allow }
  - { request: POST https://httpbin.localhost/headers, scope: write, expect: 404 }
  - { request: GET https://httpbin.localhost/%2e%2e/x, expect: deny }
`,
  );
  const passed = await scopegate('test', '--config', config, good);
  t.match(passed, { code: 0, err: 'test: 6 passed, 0 failed\n' });

  const bad = write(
    'bad.yaml',
    `cases:
  - request: GET https://httpbin.localhost/headers
    scope: write
    expect: 200
  - { request: GET https://httpbin.localhost/get, scope: read, expect: allow, rule: default/httpbin#1 }
`,
  );
  const failed = await scopegate('test', '--config', config, good, bad);
  t.equal(failed.code, 1);
  t.equal(failed.err, 'test: 6 passed, 2 failed\n');
  t.match(
    failed.out,
    /not ok GET .*\n {2}at .*bad\.yaml:2:5\n {2}expected 200, got 403 deny \(the token lacks a required scope\)/,
  );
  t.match(failed.out, / {2}expected rule default\/httpbin#1, got default\/httpbin#0/);

  const junit = await scopegate('test', '--config', config, '--format', 'junit', good, bad);
  t.equal(junit.code, 1);
  t.match(junit.out, /<testsuite name="scopegate test" tests="8" failures="2">/);
  t.match(
    junit.out,
    /<testcase name="GET .*" classname=".*bad\.yaml:2"><failure message="expected 200, got 403 deny \(the token lacks a required scope\)">/,
  );
  const github = await scopegate('test', '--config', config, '--format', 'github', good, bad);
  t.match(
    github.out,
    /^::error file=.*bad\.yaml,line=2,col=5,title=unexpected-decision::GET .*%0Aexpected 200, got 403 deny .*\n::error .*\n$/,
  );
  t.equal((await scopegate('test', '--config', config, '--format', 'xml', good)).code, 2);
});

t.test('a broken file of cases is an error with its position', async (t) => {
  const config = settings('tutorial.yaml', 'error');
  const file = write('broken.yaml', 'cases:\n  - request: GET https://h/\n    expects: 200\n');
  const { code, err } = await scopegate('test', '--config', config, file);
  t.equal(code, 1);
  t.match(err, /broken\.yaml:3:5 error unknown-field .*did you mean "expect"/);
});

t.test('explain names the rules that contest a request which none of them is proved to own', async (t) => {
  write(
    'contested.yaml',
    apiRule('httpbin.localhost', [
      rule('/(?!admin).*', ['GET'], 'read', { scopegate: { undecidedPattern: 'accept' } }),
      rule('/(?=[0-9]{12}x)[0-9]*x', ['GET'], 'admin', { scopegate: { undecidedPattern: 'accept' } }),
    ]),
  );
  const { out, code } = await scopegate(
    'explain',
    '--config',
    settings('contested.yaml', 'error'),
    'GET',
    'https://httpbin.localhost/123456789012x',
    '--scope',
    'read admin',
  );
  t.equal(code, 1);
  t.equal(out.match(/another rule matches too/g)?.length, 2, out);
  t.match(out, /denied: 404/);
});

t.test('explain says that an authorizer decides which it does not call', async (t) => {
  const spec = (version: string, rest: object) =>
    JSON.stringify({
      apiVersion: `gateway.kyma-project.io/${version}`,
      kind: 'APIRule',
      metadata: { name: 'shop', namespace: 'default' },
      spec: { gateway: 'a/b', service: { name: 'shop', port: 80 }, ...rest },
    });
  const remote = {
    authorizers: [{ handler: 'remote_json', config: { remote: 'http://127.0.0.1:9/', payload: '{}' } }],
  };
  const open = {
    path: '/.*',
    methods: ['GET'],
    accessStrategies: [{ handler: 'no_auth' }],
    scopegate: remote,
  };
  const external = { path: '/*', methods: ['GET'], extAuth: { authorizers: ['sso'] } };
  for (const [name, text] of [
    ['remote_json', spec('v1beta1', { host: 'shop.example', rules: [open] })],
    ['sso', spec('v2', { hosts: ['shop.example'], rules: [external] })],
  ] as const) {
    const rules = write(`${name}.yaml`, text);
    const file = write(
      `${name}-settings.yaml`,
      JSON.stringify({
        rules: [rules],
        introspection: { url: 'http://127.0.0.1:9/introspect' },
        kyma: { extAuthorizers: [{ name: 'sso', url: 'http://127.0.0.1:9' }] },
      }),
    );
    const { code, out, err } = await scopegate('explain', '--config', file, 'GET', 'http://shop.example/');
    t.equal(code, 0, err);
    t.match(
      out,
      new RegExp(`^  if the authorizer ${name} allows it, which explain does not call$`, 'm'),
      out,
    );
  }
});

t.test('further claims of the token count', async (t) => {
  const config = { acr_values: ['gold'], claims: { required: ['tenant'] } };
  const strategy = { handler: 'oauth2_introspection', config };
  write(
    'claims.yaml',
    apiRule('httpbin.localhost', [{ path: '/x', methods: ['GET'], accessStrategies: [strategy] }], 'httpbin'),
  );
  const file = settings('claims.yaml', 'error');
  const explained = (...more: string[]) =>
    scopegate('explain', '--config', file, 'GET', 'https://httpbin.localhost/x', ...more);
  t.equal((await explained('--claims', '{"acr":"gold","tenant":"a"}')).code, 0);
  t.match((await explained('--claims', '{"acr":"gold"}')).out, /denied: 403 access_denied/);
  t.match(
    (await explained('--claims', '{"tenant":"a"}')).out,
    /denied: 401 insufficient_user_authentication/,
  );
  for (const bad of ['{', '[]', '1']) t.equal((await explained('--claims', bad)).code, 2, bad);
  const cases = write(
    'claims-cases.yaml',
    'cases:\n  - request: GET https://httpbin.localhost/x\n    claims: { acr: gold, tenant: a }\n    expect: 200\n',
  );
  t.equal((await scopegate('test', '--config', file, cases)).code, 0);
});

t.test(
  'explain prints the warnings about the rules that match, test counts them, both print all errors',
  async (t) => {
    const session = (path: string, more: object = {}) => ({
      ...{ path, methods: ['GET'] },
      accessStrategies: [
        { handler: 'cookie_session', config: { check_session_url: 'http://kratos.example/whoami', ...more } },
      ],
    });
    const apiRules = [
      apiRule('one.example', [session('/a'), session('/b'), session('/c', { preserve_path: true })], 'one'),
      apiRule('two.example', [session('/a')], 'two'),
    ].map((text) => JSON.stringify(JSON.parse(text), null, 1));
    write('many.yaml', apiRules.join('\n---\n'));
    const file = settings('many.yaml', 'error');
    const all = (await scopegate('check', '--config', file)).out.match(/ warning .*/g) ?? [];
    t.equal(all.filter((line) => line.includes('session-check-as-client')).length, 4);

    const warned = async (url: string) => (await scopegate('explain', '--config', file, 'GET', url)).err;
    t.match(
      await warned('http://one.example/a'),
      /^\S+ warning session-check-as-client \S+one: spec\.rules\.0\.[^\n]*\n$/,
    );
    t.match(
      await warned('http://one.example/b'),
      /^\S+ warning session-check-as-client \S+one: spec\.rules\.1\.[^\n]*\n$/,
    );
    t.match(
      await warned('http://two.example/a'),
      /^\S+ warning session-check-as-client \S+two: spec\.rules\.0\.[^\n]*\n$/,
    );
    t.equal(await warned('http://one.example/nothing'), '');
    t.equal(await warned('http://three.example/'), '');

    const cases = write(
      'many-cases.yaml',
      'cases:\n  - { request: GET http://one.example/a, expect: 401 }\n',
    );
    const tested = await scopegate('test', '--config', file, cases);
    t.match(tested, {
      code: 0,
      err: `test: ${all.length} warnings: run check to see them\ntest: 1 passed, 0 failed\n`,
    });

    const broken = apiRule('three.example', [{ ...session('/a'), metods: [] }], 'three');
    write('broken-too.yaml', [...apiRules, JSON.stringify(JSON.parse(broken), null, 1)].join('\n---\n'));
    const bad = settings('broken-too.yaml', 'error');
    for (const args of [
      ['explain', '--config', bad, 'GET', 'http://one.example/a'],
      ['test', '--config', bad, cases],
    ]) {
      const { code, err } = await scopegate(...args);
      t.equal(code, 1);
      t.match(err, / error unknown-field .*metods/);
      t.notMatch(err, / warning /);
    }
  },
);

t.test('explain says which APIRules were left out if no rule matches', async (t) => {
  const broken = apiRule('three.example', [{ ...rule('/a', ['GET'], 'read'), metods: [] }], 'three');
  write('left.yaml', `${apiRule('httpbin.localhost', [read], 'httpbin')}\n---\n${broken}`);
  const file = write(
    'left-settings.yaml',
    JSON.stringify({
      rules: ['left.yaml'],
      services: { default: 'http://127.0.0.1:8000' },
      introspection: { url: 'http://127.0.0.1:9/introspect' },
      kyma: { unserved: 'leaveOut' },
    }),
  );
  const err = async (url: string) => (await scopegate('explain', '--config', file, 'GET', url)).err;
  t.match(await err('http://three.example/a'), /^\S+ warning left-out [^\n]*\n$/);
  t.equal(await err('http://httpbin.localhost/a'), '');
});

t.test('test knows the session of a cookie, wherever the store names it', async (t) => {
  const kratos = {
    handler: 'cookie_session',
    config: {
      check_session_url: 'http://kratos.example/whoami',
      preserve_path: true,
      force_method: 'GET',
      only: ['ory_kratos_session'],
      subject_from: 'identity.id',
      extra_from: '@this',
    },
  };
  const any = {
    ...kratos,
    config: { ...kratos.config, only: [], subject_from: 'extra.0.sub', extra_from: 'extra' },
  };
  const token = { handler: 'oauth2_introspection', config: { required_scope: ['read'] } };
  const rules = [
    { path: '/kratos', methods: ['GET'], accessStrategies: [kratos] },
    { path: '/any', methods: ['GET'], accessStrategies: [any] },
    { path: '/either', methods: ['GET'], accessStrategies: [kratos, token] },
    { path: '/token', methods: ['GET'], accessStrategies: [token] },
  ];
  write('session.yaml', apiRule('httpbin.localhost', rules, 'httpbin'));
  const file = settings('session.yaml', 'error');
  const of = (path: string, rest: string) =>
    `  - { request: GET https://httpbin.localhost${path}, ${rest} }\n`;
  const cases = write(
    'session-cases.yaml',
    `cases:\n${[
      of('/kratos', 'session: {}, expect: 200, rule: default/httpbin#0'),
      of('/kratos', 'session: { subject: alice, extra: { role: admin, identity: 1 } }, expect: allow'),
      of('/kratos', 'session: { active: false }, expect: 401'),
      of('/kratos', 'session: { cookie: theme }, expect: 401'),
      of('/kratos', 'session: { cookie: ory_kratos_session, active: true }, expect: 200'),
      of('/kratos', 'expect: 401'),
      of('/kratos', 'session: {}, scope: read, expect: 400'),
      of('/any', 'session: {}, expect: 200'),
      of('/any', 'session: { cookie: theme, subject: alice, extra: { a: 1 } }, expect: 200'),
      of('/any', 'session: { cookie: theme, active: false }, expect: 401'),
      of('/either', 'session: {}, expect: 200'),
      of('/either', 'scope: read, expect: 200'),
      of('/either', 'session: { cookie: theme }, scope: read, expect: 200'),
      of('/either', 'session: { cookie: theme }, scope: write, expect: 403'),
      of('/token', 'session: {}, expect: 401'),
      of('/token', 'session: {}, scope: read, expect: 200'),
      of('/nothing', 'session: {}, expect: 404'),
    ].join('')}`,
  );
  const { code, out, err } = await scopegate('test', '--config', file, cases);
  t.equal(code, 0, out + err);
  t.equal(err, 'test: 17 passed, 0 failed\n');
});

t.test('a mistake in the session of a case is an error with its position', async (t) => {
  const file = settings('tutorial.yaml', 'error');
  for (const [session, expected] of [
    ['{ activ: false }', /:3:\d+ error unknown-field .*did you mean "active"/],
    ['{ active: no-one }', /:3:\d+ error wrong-type /],
    ['{ cookie: "a b" }', /:3:\d+ error invalid-value .*the name of a cookie/],
    ['{ subject: "" }', /:3:\d+ error /],
    ['{ extra: [a] }', /:3:\d+ error wrong-type /],
    ['alice', /:3:\d+ error wrong-type /],
    [
      '{ active: false, subject: alice }',
      /:3:31 error invalid-value .*session\.subject: .*no subject; remove it/,
    ],
    ['{ active: false, extra: {} }', /:3:31 error invalid-value .*session\.extra: /],
  ] as const) {
    const cases = write(
      'wrong-session.yaml',
      `cases:\n  - request: GET https://h/\n    session: ${session}\n    expect: 200\n`,
    );
    const { code, err } = await scopegate('test', '--config', file, cases);
    t.equal(code, 1, session);
    t.match(err, expected, session);
  }
});
