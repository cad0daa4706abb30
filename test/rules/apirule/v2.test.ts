import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { pathPattern } from '../../../src/rules/apirule/path-template.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { options } from '../options.js';

const JWT = { authentications: [{ issuer: 'https://as.example', jwksUri: 'https://as.example/keys' }] };

/** An APIRule of version 2 as YAML's flow style (JSON). */
function apiRule(rules: readonly object[], more: object = {}, apiVersion = 'v2'): string {
  return JSON.stringify({
    apiVersion: `gateway.kyma-project.io/${apiVersion}`,
    kind: 'APIRule',
    metadata: { name: 'gate', namespace: 'demo' },
    spec: {
      gateway: 'kyma-system/kyma-gateway',
      hosts: ['gate.example'],
      service: { name: 'upstream', port: 80 },
      rules,
      ...more,
    },
  });
}

function load(t: Test, text: string, overlap: 'error' | 'specific' = 'error') {
  const folder = t.testdir({ 'r.yaml': text });
  const { table, findings } = loadRules([join(folder, 'r.yaml')], {
    ...options,
    domain: 'kyma.local',
    overlap,
  });
  return { table, findings, short: findings.map(({ code, message }) => `${code} ${message}`) };
}

t.test('a v2 APIRule becomes the same rules', (t) => {
  const rules = [
    { path: '/open/{*}', methods: ['GET'], noAuth: true, timeout: 7 },
    {
      path: '/in/{**}',
      methods: ['GET', 'POST'],
      jwt: { ...JWT, authorizations: [{ requiredScopes: ['read'] }] },
      service: { name: 'own', namespace: 'far', port: 81 },
    },
  ];
  for (const version of ['v2', 'v2alpha1']) {
    const more = { hosts: ['gate.example', 'short', '*.wild.example'], timeout: 9 };
    const { table, findings } = load(t, apiRule(rules, more, version));
    t.same(findings, []);
    t.same(
      table?.rules.map(({ id, hosts, methods, path, pattern, timeout, upstream, strategies }) => [
        id,
        hosts,
        methods,
        path,
        pattern.source,
        timeout,
        upstream.authority,
        strategies.map(({ handler, requiredScopes }) => [handler, requiredScopes]),
      ]),
      [
        [
          'demo/gate#0',
          ['gate.example', 'short.kyma.local', '*.wild.example'],
          ['GET'],
          '/open/{*}',
          '^(?:\\/open\\/[^/]+)$',
          7_000,
          'upstream.demo',
          [['no_auth', []]],
        ],
        [
          'demo/gate#1',
          ['gate.example', 'short.kyma.local', '*.wild.example'],
          ['GET', 'POST'],
          '/in/{**}',
          '^(?:\\/in\\/.*)$',
          9_000,
          'own.far:81',
          [['jwt', ['read']]],
        ],
      ],
    );
  }
  t.end();
});

t.test('the operators match what Kyma’s documentation says', (t) => {
  for (const [path, matches, others] of [
    ['/', ['/'], ['/a']],
    ['/example/one', ['/example/one'], ['/example/one/', '/example', '/example/onex']],
    ['/example/{*}/one', ['/example/anything/one'], ['/example/one', '/example//one', '/example/a/b/one']],
    ['/example/{*}', ['/example/anything'], ['/example/', '/example/anything/', '/example']],
    [
      '/example/{**}/one',
      ['/example/anything/two/one', '/example/anything/one'],
      ['/example//one', '/example/one'],
    ],
    [
      '/example/{**}',
      ['/example/anything', '/example/anything/more/', '/example/'],
      ['/example', '/examples/'],
    ],
    [
      '/{*}/example/{*}/{**}',
      ['/anything/example/anything/', '/anything/example/anything/more'],
      ['/anything/example/anything', '/example/a/'],
    ],
    ['/*', ['/', '/example/anything/more/', '/example/'], []],
    ['/{**}', ['/', '/a/b'], []],
    ['/a.b$(c)+', ['/a.b$(c)+'], ['/axb$(c)+', '/a.b$(c)']],
    ['/%7euser/%c3%a9', ['/~user/%C3%A9'], ['/%7euser/%c3%a9']],
  ] as const) {
    const pattern = pathPattern(path);
    if ('problem' in pattern) throw new Error(pattern.problem);
    const expression = new RegExp(`^(?:${pattern.source})$`);
    for (const match of matches) t.match(match, expression, `${path} matches ${match}`);
    for (const other of others) t.notMatch(other, expression, `${path} does not match ${other}`);
  }
  for (const path of [
    '',
    'a',
    '/a.*[',
    '/a*',
    '/{*}x',
    '/{**}/{*}',
    '/{**}/a/{**}',
    '/{***}',
    '/*/a',
    '/a/*',
    '/a?b',
  ]) {
    t.ok('problem' in pathPattern(path), path);
  }
  t.end();
});

t.test('the expression of a template agrees with a walk over its segments', (t) => {
  const segment = fc.constantFrom('a', 'b', 'a.b');
  const template = fc.array(fc.oneof(segment, fc.constant('{*}'), fc.constant('{**}')), {
    minLength: 1,
    maxLength: 5,
  });
  const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`);
  fc.assert(
    fc.property(template, path, (segments, candidate) => {
      const pattern = pathPattern(`/${segments.join('/')}`);
      if ('problem' in pattern) return segments.slice(0, segments.findLastIndex(isOperator)).includes('{**}');
      const matched = new RegExp(`^(?:${pattern.source})$`).test(candidate);
      return matched === walk(segments, candidate.slice(1).split('/'));
    }),
    { numRuns: 3_000 },
  );
  t.end();
});

function isOperator(segment: string): boolean {
  return segment.startsWith('{');
}

function walk([head, ...rest]: readonly string[], segments: readonly string[]): boolean {
  if (head === undefined) return segments.length === 0;
  if (head === '{**}') {
    if (rest.length === 0) return segments.length > 0;
    return segments.some((segment, index) => segment !== '' && walk(rest, segments.slice(index + 1)));
  }
  const [first, ...others] = segments;
  if (first === undefined || (head === '{*}' ? first === '' : first !== head)) return false;
  return walk(rest, others);
}

t.test('order is proved, and what Kyma’s order did beyond it is told', (t) => {
  const rules = [
    { path: '/anything/{*}/one', methods: ['POST'], jwt: JWT },
    { path: '/anything/{**}', methods: ['GET', 'POST'], noAuth: true },
  ];
  t.match(load(t, apiRule(rules)).short, [/^kyma-excluded-path /, /^overlap /]);
  for (const order of [rules, [...rules].reverse()]) {
    const { table } = load(t, apiRule(order), 'specific');
    t.equal(table?.find('gate.example', 'POST', '/anything/a/one')?.path, '/anything/{*}/one');
    t.equal(table?.find('gate.example', 'POST', '/anything/a/two')?.path, '/anything/{**}');
  }
  const { findings } = load(t, apiRule(rules), 'specific');
  t.match(findings, [
    { level: 'warning', code: 'kyma-excluded-path', message: /Kyma denied GET \/anything\/.*\/one/ },
  ]);
  t.match(
    load(
      t,
      apiRule([
        { path: '/{*}/b', methods: ['GET'], noAuth: true },
        { path: '/a/{*}', methods: ['GET'], noAuth: true },
      ]),
      'specific',
    ).short,
    [/^overlap-partial /],
  );
  t.end();
});

t.test('what cannot be honoured is an error in the words of v2', (t) => {
  const good = { path: '/a', methods: ['GET'] };
  for (const [rule, expected] of [
    [
      good,
      /^handler-combination demo\/gate: spec\.rules\.0: must have exactly one of noAuth: true, jwt and extAuth/,
    ],
    [{ ...good, noAuth: false }, /^handler-combination/],
    [{ ...good, noAuth: true, jwt: JWT }, /^handler-combination/],
    [
      { ...good, extAuth: { authorizers: ['x'] } },
      /^unsupported-handler demo\/gate: spec\.rules\.0\.extAuth\.authorizers\.0: no external authorizer is called "x"/,
    ],
    [
      { ...good, path: '/a.*[', noAuth: true },
      /^bad-pattern demo\/gate: spec\.rules\.0\.path: .*not a path of APIRule v2/,
    ],
    [{ ...good, methods: ['TRACE'], noAuth: true }, /^invalid-method/],
    [
      { ...good, jwt: {} },
      /^missing-field demo\/gate: spec\.rules\.0\.jwt must have the field "authentications"/,
    ],
    [
      { ...good, jwt: { authentications: [{ issuer: 'x', jwksUri: 'ftp://x' }] } },
      /^invalid-value demo\/gate: spec\.rules\.0\.jwt\.authentications\.0\.jwksUri/,
    ],
    [
      {
        ...good,
        jwt: {
          authentications: [{ ...JWT.authentications[0], fromHeaders: [{ name: 'x', prefix: 'é ' }] }],
        },
      },
      /^invalid-value demo\/gate: spec\.rules\.0\.jwt\.authentications\.0\.fromHeaders\.0\.prefix: must be printable ASCII/,
    ],
    [
      { ...good, noAuth: true, request: { headers: { Host: 'x' } } },
      /^invalid-value demo\/gate: spec\.rules\.0\.request\.headers\.Host: a rule cannot set Host: /,
    ],
    [
      { ...good, noAuth: true, request: { headers: { 'x-a': '%UPSTREAM_HOST%' } } },
      /^invalid-value demo\/gate: spec\.rules\.0\.request\.headers\.x-a: %UPSTREAM_HOST% is a command of Envoy/,
    ],
    [{ ...good, noAuth: true, accessStrategies: [] }, /^unknown-field/],
  ] as const) {
    const { findings, short } = load(t, apiRule([rule]));
    t.equal(findings.length, 1, JSON.stringify(short));
    t.match(short[0], expected);
    t.equal(findings[0]?.line, 1);
    t.ok((findings[0]?.col ?? 0) > 200, 'stands at the rule');
  }
  t.match(load(t, apiRule([{ ...good, noAuth: true }], { hosts: [] })).short, [/hosts/]);
  t.match(load(t, apiRule([{ ...good, noAuth: true }], { host: 'x' })).short, [/^unknown-field/]);
  t.match(load(t, apiRule([{ ...good, noAuth: true }], { hosts: ['a.b', 'A.b'] })).short, [/listed twice/]);
  t.match(load(t, apiRule([{ ...good, noAuth: true }], { corsPolicy: { maxAge: '10m' } })).short, [
    /^wrong-type/,
  ]);
  t.end();
});

t.test('a v2 APIRule serves: jwt, request modifiers, no CORS of the upstream’s own', async (t) => {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k', 'ES256');
  t.teardown(() => issuer.close());
  const jwt = { authentications: [{ issuer: 'https://as.example', jwksUri: issuer.url }] };
  const rules = apiRule([
    {
      path: '/in/{*}',
      methods: ['GET'],
      jwt,
      request: { headers: { 'X-Via': 'gate' }, cookies: { via: 'gate' } },
    },
    { path: '/open', methods: ['GET'], noAuth: true },
  ]);
  const gate = await startTestGateway(t, {
    rules,
    clock,
    respond: (_message, response) => response.writeHead(200, { 'access-control-allow-origin': '*' }).end(),
  });
  const token = await issuer.sign(key, 'k', { iss: 'https://as.example' }, { alg: 'ES256' });
  const headers = { cookie: 'via=client', 'x-via': 'client', origin: 'https://a.example' };
  const answer = await ask(gate, '/in/a', { token, headers });
  t.equal(answer.status, 200);
  t.equal(answer.headers['access-control-allow-origin'], undefined);
  t.match(gate.upstream.received[0]?.headers, { 'x-via': 'gate', cookie: 'via=gate' });
  t.equal((await ask(gate, '/in/a')).status, 401);
  t.equal((await ask(gate, '/in/a/b', { token })).status, 404);
  t.equal((await ask(gate, '/open', { headers })).status, 200);
  t.equal(gate.upstream.received[1]?.headers['x-via'], undefined);
  const preflight = { ...headers, 'access-control-request-method': 'GET' };
  t.equal((await ask(gate, '/open', { method: 'OPTIONS', headers: preflight })).status, 404);
});
