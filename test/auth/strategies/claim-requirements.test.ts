import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { formatFinding } from '../../../src/document/finding.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { options } from '../../rules/options.js';

// What a rule demands of the claims of its tokens, by both handlers that take tokens: each case is asked of both.

const NOW = fakeClock().wall();

/** Asks each handler about a token with these claims, under a rule with this config. */
async function outcomes(t: Test, config: object, tokens: readonly object[]) {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k1');
  const handlers = {
    oauth2_introspection: config,
    jwt: { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'], ...config },
  };
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule(
      'gate.example',
      Object.entries(handlers).map(([handler, own]) => ({
        path: `/${handler}`,
        methods: ['GET'],
        accessStrategies: [{ handler, config: own }],
      })),
    ),
  });
  t.teardown(() => issuer.close());
  const found: (readonly [status: number, reason: string])[] = [];
  for (const [index, claims] of tokens.entries()) {
    gate.endpoint.tokens.set(`t${index}`, claims as Record<string, unknown>);
    const introspected = await ask(gate, '/oauth2_introspection', { token: `t${index}` });
    const verified = await ask(gate, '/jwt', { token: await issuer.sign(key, 'k1', { ...claims }) });
    const what = JSON.stringify(claims);
    t.equal(verified.status, introspected.status, `both handlers agree on ${what}`);
    t.equal(verified.reason, introspected.reason, `and say why: ${what}`);
    t.equal(introspected.headers['www-authenticate'] === undefined, [200, 403].includes(introspected.status));
    found.push([introspected.status, introspected.reason]);
  }
  return found;
}

t.test('allowed_clients', async (t) => {
  const none = [403, 'the client of the token has no access to this resource'] as const;
  t.same(
    await outcomes(t, { allowed_clients: ['a', 'b'] }, [
      { client_id: 'a' },
      { client_id: 'b' },
      { azp: 'b' },
      { client_id: 'c' },
      { client_id: 'c', azp: 'a' },
      { client_id: 'A' },
      {},
    ]),
    [[200, ''], [200, ''], [200, ''], none, none, none, none],
  );
});

t.test('allowed_token_use', async (t) => {
  const refused = [401, 'the token is not an access token'] as const;
  t.same(
    await outcomes(t, { allowed_token_use: ['access_token', 'service'] }, [
      { token_use: 'service' },
      { token_use: 'access_token' },
      {},
      { token_use: 'refresh_token' },
      { token_use: ['service'] },
      { token_use: 1 },
    ]),
    [[200, ''], [200, ''], [200, ''], refused, refused, refused],
  );
});

t.test('max_token_age and leeway', async (t) => {
  t.same(
    await outcomes(t, { max_token_age: '5m', leeway: '10s' }, [
      { iat: NOW },
      { iat: NOW - 310 },
      { iat: NOW + 10 },
      { iat: NOW - 311 },
      { iat: NOW + 11 },
      {},
      { iat: NOW, exp: NOW - 9 },
      { iat: NOW, exp: NOW - 10 },
      { iat: NOW, nbf: NOW + 10 },
      { iat: NOW, nbf: NOW + 11 },
    ]),
    [
      [200, ''],
      [200, ''],
      [200, ''],
      [401, 'the token was issued too long ago'],
      [401, 'the token was issued in the future'],
      [401, 'the token does not say when it was issued'],
      [200, ''],
      [401, 'the token has expired'],
      [200, ''],
      [401, 'the token is not valid yet'],
    ],
  );
  t.same(await outcomes(t, {}, [{ iat: NOW + 1_000 }]), [[200, '']], 'iat alone refuses nothing (RFC 7519)');
});

t.test('claims: a JSON Schema that all of them fit', async (t) => {
  const claims = {
    type: 'object',
    required: ['tenant'],
    properties: {
      tenant: { enum: ['t1', 't2'] },
      roles: { type: 'array', contains: { const: 'admin' } },
      ext: { type: 'object', properties: { level: { type: 'integer', minimum: 3 } } },
    },
  };
  const refused = (where: string) =>
    [403, `the claims of the token do not meet the requirements of this resource at ${where}`] as const;
  t.same(
    await outcomes(t, { claims }, [
      { tenant: 't1' },
      { tenant: 't2', roles: ['x', 'admin'], ext: { level: 3 } },
      {},
      { tenant: 't3' },
      { tenant: 't1', roles: [] },
      { tenant: 't1', roles: 'admin' },
      { tenant: 't1', ext: { level: 2 } },
    ]),
    [
      [200, ''],
      [200, ''],
      refused('/tenant'),
      refused('/tenant'),
      refused('/roles'),
      refused('/roles'),
      refused('/ext/level'),
    ],
  );
});

t.test('what cannot be demanded is an error at its place', (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  const found = (config: object, handler = 'oauth2_introspection') => {
    const rule = { path: '/x', methods: ['GET'], accessStrategies: [{ handler, config }] };
    writeFileSync(file, apiRule('gate.example', [rule]));
    return loadRules([file], options).findings.map((finding) =>
      formatFinding(finding)
        .replace(/^.*?rules\.yaml:1:\d+ /, '')
        .replace('default/gate: ', ''),
    );
  };
  const base = 'spec.rules.0.accessStrategies.0.config';
  for (const [config, expected] of [
    [{ claims: { type: 'strin' } }, `error invalid-value ${base}.claims.type: must be one of array, boolean`],
    [
      { claims: { properties: { a: 1 } } },
      `error invalid-value ${base}.claims.properties.a: must be an object or boolean`,
    ],
    [
      { claims: { proprties: {} } },
      `error invalid-value ${base}.claims.proprties: JSON Schema has no keyword "proprties"; did you mean "properties"?`,
    ],
    [
      { claims: { properties: { a: { type: 'string', pattern: '(' } } } },
      `error invalid-value ${base}.claims.properties.a.pattern: is not a valid regular expression`,
    ],
    [
      { claims: { properties: { a: { pattern: 'x' } } } },
      `error invalid-value ${base}.claims.properties.a.pattern: has no effect without a type; add "type: string" next to it`,
    ],
    [
      { claims: { $ref: 'https://x.example/y' } },
      `error invalid-value ${base}.claims.$ref: this schema has no "https://x.example/y"`,
    ],
    [{ claims: [] }, `error wrong-type ${base}.claims must be an object`],
    [{ leeway: 'soon' }, `error invalid-value ${base}.leeway must be a duration`],
    [{ max_token_age: '999999h' }, `error invalid-value ${base}.max_token_age: must be shorter than 24 days`],
    [{ max_age: -1 }, `error invalid-value ${base}.max_age must be 0 or more`],
    [{ acr_values: ['a b'] }, `error invalid-value ${base}.acr_values.0 must be a string of visible ASCII`],
    [{ acr_values: [] }, `error invalid-value ${base}.acr_values must not be empty`],
    [
      { allowed_client: ['a'] },
      `error unknown-field unknown field "allowed_client" in ${base}; did you mean`,
    ],
  ] as const) {
    const [first = '', ...more] = found(config);
    t.ok(first.replace(' default/gate:', '').startsWith(expected), first);
    t.same(more, []);
    const [same = ''] = found({ jwks_urls: ['https://as.example/jwks'], ...config }, 'jwt');
    t.ok(same.replace(' default/gate:', '').startsWith(expected), `jwt: ${same}`);
  }
  t.same(
    found({ claims: { $id: 'https://x.example/a' } }).concat(
      found({ claims: { $id: 'https://x.example/a' } }),
    ),
    [],
    'an identifier may be used twice',
  );
  t.end();
});

t.test('what could make claims slow to check is an error at its place', (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  const found = (claims: string) => {
    writeFileSync(
      file,
      `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: gate, namespace: default }
spec:
  gateway: default/gate
  host: gate.example
  service: { name: upstream, port: 80 }
  rules:
    - path: /x
      methods: [GET]
      accessStrategies:
        - handler: oauth2_introspection
          config:
            claims:
${claims.replace(/^/gm, '              ')}
`,
    );
    return loadRules([file], options).findings.map(formatFinding);
  };
  for (const [claims, expected] of [
    [
      `
properties:
  name: { type: string, pattern: ^(a+)+$ }`,
      /rules\.yaml:17:48 error pattern-backtracking .*\.claims\.properties\.name\.pattern: matching takes exponential time: \^\(a\+\)\+\$ on the text 'a/,
    ],
    [
      String.raw`
properties:
  name: { type: string, pattern: \s+$ }`,
      /rules\.yaml:17:48 error .*2nd degree polynomial/,
    ],
    [
      String.raw`
patternProperties:
  admin: true
  ^(\w+\s?)*$: true`,
      /rules\.yaml:18:17 error pattern-backtracking .*\.claims\.patternProperties\.\^/,
    ],
    [
      String.raw`
properties:
  name: { type: string, pattern: '^(?:\b){20}x' }`,
      /rules\.yaml:17:48 error pattern-backtracking .*name\.pattern: has more than 8 word boundaries/,
    ],
    [
      `
propertyNames:
  pattern: ^(a|a)*$`,
      /rules\.yaml:17:26 error .*propertyNames\.pattern/,
    ],
    [
      `
properties:
  roles:
    type: array
    items:
      anyOf:
        - { type: string }
        - { type: string, pattern: x*x*y }`,
      /rules\.yaml:22:\d+ error .*items\.anyOf\.1\.pattern: matching takes 3rd degree/,
    ],
    [
      `
properties:
  name: { $ref: "#/properties/other/const" }
  other: { const: { type: string, pattern: ^(a+)+$ } }`,
      /rules\.yaml:18:\d+ error .*other\.const\.pattern/,
    ],
  ] as const) {
    const [first = '', ...more] = found(claims);
    t.match(first, expected, claims);
    t.same(more, [], claims);
  }
  for (const [list, fine] of [
    ['{ type: array, uniqueItems: true }', false],
    ['{ type: array, uniqueItems: true, items: { type: [string, object] } }', false],
    ['{ type: array, uniqueItems: true, maxItems: 101 }', false],
    ['{ type: array, uniqueItems: false }', true],
    ['{ type: array, uniqueItems: true, items: { type: string } }', true],
    ['{ type: array, uniqueItems: true, items: { type: [string, integer] } }', true],
    ['{ type: array, uniqueItems: true, maxItems: 100 }', true],
  ] as const) {
    const findings = found(`\nproperties:\n  groups: ${list}`);
    if (fine) t.same(findings, [], list);
    else
      t.match(findings, [/rules\.yaml:17:53 error slow-claims .*groups\.uniqueItems: takes quadratic/], list);
  }
  const linear = String.raw`
required: [pattern, patternProperties]
properties:
  pattern: { type: string, pattern: '^[^@]+@corp\.example$' }
  patternProperties: { type: object, patternProperties: { ^x-: { type: string, pattern: admin } } }
patternProperties:
  ^https://(?:a|b)\.example/: { type: string, pattern: '^\p{L}+$' }`;
  t.same(found(linear), [], 'and what is linear is none');
  t.end();
});
