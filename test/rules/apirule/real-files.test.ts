import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { formatFinding } from '../../../src/document/finding.js';
import { type LoadOptions, loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { options } from '../options.js';

const JWT = { authentications: [{ issuer: 'https://as.example', jwksUri: 'https://as.example/keys' }] };
const introspection = (scope: string): object => ({
  handler: 'oauth2_introspection',
  config: { required_scope: [scope] },
});
const rule = (path: string, methods: string[], ...accessStrategies: object[]): object => ({
  path,
  methods,
  accessStrategies,
});

/** A variable as a shell has it. */
const braced = (name: string): string => ['$', '{', name, '}'].join('');

/** An APIRule `depot/parcels`. */
function apiRule(version: string, spec: object, annotations?: object): object {
  return {
    apiVersion: `gateway.kyma-project.io/${version}`,
    kind: 'APIRule',
    metadata: { name: 'parcels', namespace: 'depot', ...(annotations === undefined ? {} : { annotations }) },
    spec,
  };
}

function v1beta1(rules: readonly object[], more: object = {}): object {
  const service = { name: 'parcels', port: 8080 };
  return apiRule('v1beta1', { gateway: 'a/b', host: 'parcels.example', service, rules, ...more });
}

function v2(rules: readonly object[], annotations?: object): object {
  const service = { name: 'parcels', port: 8080 };
  return apiRule('v2', { gateway: 'a/b', hosts: ['parcels.example'], service, rules }, annotations);
}

function load(t: Test, document: object | string, more: Partial<LoadOptions> = {}) {
  const folder = t.testdir({ 'r.yaml': typeof document === 'string' ? document : stringify(document) });
  const { table, findings } = loadRules([join(folder, 'r.yaml')], { ...options, ...more });
  const lines = findings.map((finding) => formatFinding(finding).replaceAll(`${folder}/`, ''));
  return { table, findings, lines };
}

const kept = (rules: readonly object[]): object => ({
  'gateway.kyma-project.io/v1beta1-spec': JSON.stringify({
    host: 'parcels.example',
    service: { name: 'parcels', port: 8080 },
    gateway: 'a/b',
    rules,
  }),
});
const written = (version: string): object => ({ 'gateway.kyma-project.io/original-version': version });

t.test('an exported APIRule that somebody edited is served from neither of its two specs', (t) => {
  const open = kept([rule('/list', ['GET'], { handler: 'no_auth' })]);
  const edited = v2([{ path: '/list', methods: ['GET'], jwt: JWT }], { ...open, ...written('v1beta1') });
  const { table, lines } = load(t, edited);
  t.equal(table, undefined);
  t.match(lines, [
    /^r\.yaml:7:43 error edited-export depot\/parcels: spec\.rules\.0\.jwt says otherwise than the annotation /,
  ]);
  for (const [rules, field] of [
    [[{ path: '/other', methods: ['GET'], noAuth: true }], /spec\.rules\.0\.path/],
    [[{ path: '/list', methods: ['GET', 'POST'], noAuth: true }], /spec\.rules\.0\.methods/],
    [
      [{ path: '/list', methods: ['GET'], noAuth: true, service: { name: 'x', port: 1 } }],
      /rules\.0\.service/,
    ],
    [
      [
        { path: '/list', methods: ['GET'], noAuth: true },
        { path: '/b', methods: ['GET'], noAuth: true },
      ],
      /spec\.rules /,
    ],
  ] as const) {
    t.match(load(t, v2(rules, { ...open, ...written('v1beta1') })).lines, [field]);
  }
  const same = load(
    t,
    v2([{ path: '/list', methods: ['GET'], noAuth: true }], { ...open, ...written('v1beta1') }),
  );
  t.same(same.lines, [], 'as Kyma wrote it');
  t.equal(same.table?.rules[0]?.strategies[0]?.handler, 'no_auth');
  t.end();
});

t.test('the JWT of Oathkeeper and what Kyma writes of it for version 2 say the same', (t) => {
  const config = {
    jwks_urls: ['https://as.example/keys'],
    trusted_issuers: ['https://as.example'],
    required_scope: ['read'],
  };
  const strategy = rule('/list', ['GET'], { handler: 'jwt', config });
  const shown = (scope: string) => ({
    path: '/list',
    methods: ['GET'],
    jwt: { ...JWT, authorizations: [{ requiredScopes: [scope], audiences: null }] },
  });
  const annotations = { ...kept([strategy]), ...written('v1beta1') };
  t.same(load(t, v2([shown('read')], annotations)).lines, []);
  t.match(load(t, v2([shown('write')], annotations)).lines, [/edited-export/]);
  t.end();
});

t.test('without the original version the visible spec counts, as in Kyma', (t) => {
  const open = kept([rule('/list', ['GET'], { handler: 'no_auth' })]);
  const { table, lines } = load(t, v2([{ path: '/list', methods: ['GET'], jwt: JWT }], open));
  t.match(lines, [/warning annotation-ignored .*as in Kyma, spec counts/]);
  t.equal(table?.rules[0]?.strategies[0]?.handler, 'jwt');
  const migrated = v2([{ path: '/list', methods: ['GET'], jwt: JWT }], { ...open, ...written('v2') });
  t.same(load(t, migrated).lines, [], 'an APIRule of version 2 keeps the annotation of its former life');
  const empty = load(t, v2([], open));
  t.equal(empty.table?.rules[0]?.strategies[0]?.handler, 'no_auth', 'there is nothing else');
  t.end();
});

t.test('an open rule that Kyma never asked is a warning', (t) => {
  const guarded = rule('/.*', ['GET'], introspection('read'));
  for (const handler of ['no_auth', 'allow']) {
    const hidden = load(t, v1beta1([guarded, rule('/purge', ['POST'], { handler })]));
    t.match(
      hidden.lines,
      [/^r\.yaml:21:7 warning kyma-shadowed-rule depot\/parcels: POST \/purge: .*with 404;/],
      handler,
    );
    t.ok(hidden.table?.find('parcels.example', 'POST', '/purge'));
  }
  const first = load(t, v1beta1([rule('/purge', ['POST'], { handler: 'no_auth' }), guarded]));
  t.same(first.lines, [], 'the first one was asked');
  const between = load(
    t,
    v1beta1([
      rule('/purge', ['POST'], { handler: 'no_auth' }),
      guarded,
      rule('/purge', ['PUT'], { handler: 'no_auth' }),
    ]),
  );
  t.match(between.lines, [/PUT \/purge: Kyma dropped this rule/]);
  const asked = load(t, v1beta1([guarded, rule('/purge', ['GET'], { handler: 'no_auth' })]), {
    overlap: 'specific',
  });
  t.match(asked.lines, [/kyma-shadowed-rule .*decided by a rule that asks for a credential/]);
  t.end();
});

t.test('what Kyma did with two rules of one path is not told the wrong way round', (t) => {
  const { lines } = load(
    t,
    v1beta1([rule('/list', ['GET'], introspection('read')), rule('/list', ['POST'], { handler: 'allow' })]),
  );
  t.equal(lines.length, 1, 'Kyma never asked the second one: it exposed no method');
  t.match(lines[0], /kyma-shadowed-rule .*POST \/list.*404/);
  t.end();
});

t.test('a rule of version 2 that lies inside an earlier one was never asked', (t) => {
  const rules = [
    { path: '/*', methods: ['GET'], jwt: JWT },
    { path: '/metrics', methods: ['GET'], noAuth: true },
  ];
  t.match(load(t, v2(rules), { overlap: 'specific' }).lines, [
    /kyma-shadowed-rule .*\/metrics: Kyma let the earlier/,
  ]);
  t.same(load(t, v2([...rules].reverse()), { overlap: 'specific' }).lines, []);
  t.end();
});

t.test('a short host without a domain is a warning that names the setting', (t) => {
  const rules = [rule('/list', ['GET'], { handler: 'noop' })];
  t.match(load(t, v1beta1(rules, { host: 'parcels' })).lines, [
    /^r\.yaml:8:9 warning short-host .*the host parcels has no dot.*set domain/,
  ]);
  t.same(load(t, v1beta1(rules, { host: 'parcels' }), { domain: 'kyma.example' }).lines, []);
  t.same(load(t, v1beta1(rules, { host: 'localhost' })).lines, [], 'every machine has this one');
  t.end();
});

t.test('an APIRule v1alpha1 is read as it is', (t) => {
  const service = { name: 'parcels', port: 8080, host: 'parcels.example' };
  const rules = [rule('/.*', ['GET'], introspection('read'))];
  const { table, lines } = load(t, apiRule('v1alpha1', { gateway: 'a.b.svc.cluster.local', service, rules }));
  t.same(lines, []);
  t.match(table?.rules, [{ hosts: ['parcels.example'], upstream: { origin: 'http://parcels.depot:8080' } }]);
  const without = load(t, apiRule('v1alpha1', { gateway: 'a/b', service: { name: 'x', port: 1 }, rules }));
  t.match(without.lines, [/^r\.yaml:9:5 error missing-field .*spec\.service must have the field "host"/]);
  const wrong = load(t, apiRule('v1alpha1', { gateway: 'a/b', service: { ...service, host: 'a b' }, rules }));
  t.match(wrong.lines, [/^r\.yaml:11:11 error invalid-value .*spec\.service\.host/]);
  t.end();
});

t.test('what nothing has expanded is named wherever it stands, all of it in one run', (t) => {
  const config = {
    jwks_urls: [`https://${braced('TENANT')}.example/keys`],
    trusted_issuers: ['https://{TENANT}.example', '<issuer>'],
    required_scope: ['$SCOPE', `${braced('PREFIX:-x')}.read`],
  };
  const document = {
    ...v1beta1(
      [
        {
          ...rule('/.*$', ['GET'], { handler: 'jwt', config }),
          mutators: [
            { handler: 'header', config: { headers: { 'X-Env': '$ENVIRONMENT', 'X-Of': '{{ .Subject }}' } } },
          ],
        },
      ],
      { host: 'parcels.$domain', service: { name: '$(SERVICE)', port: '$PORT' } },
    ),
    metadata: { name: 'parcels', namespace: '$NAMESPACE' },
  };
  const { findings, lines } = load(t, document);
  t.same(
    findings.map(({ code }) => code),
    Array.from({ length: 10 }, () => 'unexpanded-variable'),
    lines.join('\n'),
  );
  const all = lines.join('\n');
  for (const shown of [
    ...[
      'variable $NAMESPACE',
      'variable $domain',
      'variable $(SERVICE)',
      'variable $PORT',
      `variable ${braced('TENANT')}`,
    ],
    ...[
      'placeholder {TENANT}',
      'placeholder <issuer>',
      'variable $SCOPE',
      `variable ${braced('PREFIX')}`,
      'variable $ENVIRONMENT',
    ],
  ]) {
    t.ok(all.includes(`holds the ${shown},`), shown);
  }
  t.match(
    load(
      t,
      'kind: APIRule\napiVersion: gateway.kyma-project.io/v1beta1\nmetadata: { name: a }\nspec:\n  host: {HOST}\n',
    ).lines,
    [/missing-field/, /missing-field/, /:5:9 error unexpanded-variable .*placeholder \{HOST\}/],
  );
  t.end();
});

t.test('dollars and braces that mean themselves are left alone', (t) => {
  const claims = {
    type: 'object',
    properties: { tenant: { type: 'string', pattern: '^[A-Z]{2}\\p{Lu}{3,}$' } },
  };
  const config = { required_scope: ['a$b', 'pa$$WORD'], claims };
  t.same(
    load(
      t,
      v1beta1([rule('/odata/\\$batch(?:/[0-9]{2})?$', ['GET'], { handler: 'oauth2_introspection', config })]),
    ).lines,
    [],
  );
  t.same(load(t, v2([{ path: '/odata/$metadata', methods: ['GET'], noAuth: true }])).lines, []);
  t.end();
});

t.test('a Helm template is one line', (t) => {
  const chart = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: {{ include "depot.fullname" . }}
spec:
  host: {{ .Values.host }}
  service:
    port: {{ .Values.port }}
`;
  t.match(load(t, chart).lines, [/^r\.yaml:4:9 error unrendered-template .*render it first/]);
  const quoted = v1beta1([rule('/list', ['GET'], { handler: 'noop' })], { host: '{{ .Values.host }}' });
  t.match(load(t, quoted).lines, [/^r\.yaml:8:9 error unrendered-template /]);
  const mutator = chart.replace('{{ include "depot.fullname" . }}', '{{ print .Subject }}');
  t.match(load(t, mutator).lines, [/^r\.yaml:4:9 error yaml-syntax a mutator's template must be in quotes/]);
  t.end();
});

t.test('a contained overlap says which setting settles it, and how', (t) => {
  const { lines } = load(
    t,
    v2([
      { path: '/health', methods: ['GET'], noAuth: true },
      { path: '/*', methods: ['GET'], jwt: JWT },
    ]),
  );
  t.match(lines, [
    /\/health lies inside \/\*: the setting matching\.overlap: specific lets \/health answer there$/,
  ]);
  const partial = v2([
    { path: '/{*}/b', methods: ['GET'], noAuth: true },
    { path: '/a/{*}', methods: ['GET'], noAuth: true },
  ]);
  t.match(load(t, partial).lines, [/make their paths or methods disjoint$/]);
  t.end();
});

t.test('x-forwarded-host of the rule’s own host is a warning, of another one an error', (t) => {
  const withHost = (host: string): object =>
    v1beta1([
      {
        ...rule('/list', ['GET'], { handler: 'noop' }),
        mutators: [{ handler: 'header', config: { headers: { 'x-forwarded-host': host } } }],
      },
    ]);
  t.match(load(t, withHost('parcels.example')).lines, [/warning needless-header .*remove the field/]);
  t.match(load(t, withHost('other.example')).lines, [
    /error invalid-value .*scopegate sets it itself; remove it/,
  ]);
  const modified = { path: '/list', methods: ['GET'], noAuth: true };
  const headers = { 'x-forwarded-host': 'parcels.example', 'x-own': 'a' };
  const { table, lines } = load(t, v2([{ ...modified, request: { headers } }]));
  t.match(lines, [/warning needless-header .*spec\.rules\.0\.request\.headers\.x-forwarded-host/]);
  t.same([...(table?.rules[0]?.mutators?.writes.headers ?? [])], ['x-own']);
  t.end();
});

t.test(
  'a star is read as Kyma read it: all methods of allow, no method of others, all paths of Istio',
  (t) => {
    const all = load(t, v1beta1([rule('/.*', ['*'], { handler: 'allow' })]));
    t.same(all.lines, []);
    t.equal(all.table?.rules[0]?.methods.length, 7);
    t.match(load(t, v1beta1([rule('/.*', ['*'], { handler: 'noop' })])).lines, [
      /:15:11 error invalid-method .*write those that clients need/,
    ]);
    const istio = load(t, v1beta1([rule('/*', ['GET'], { handler: 'jwt', config: JWT })]));
    t.match(istio.lines, [/warning glob-path .*\/\* is read as \/\.\*/]);
    t.ok(istio.table?.find('parcels.example', 'GET', '/a/b'));
    const plain = load(t, v1beta1([rule('/*', ['GET'], introspection('read'))]));
    t.match(plain.lines, [/warning glob-path .*did you mean \/\.\*\?/]);
    t.equal(plain.table?.find('parcels.example', 'GET', '/a/b'), undefined);
    t.end();
  },
);

t.test('a token behind a prefix of its own is read where Kyma read it', async (t) => {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  const key = await issuer.makeKey('k', 'ES256');
  t.teardown(() => issuer.close());
  const authentication = { issuer: 'https://as.example', jwksUri: issuer.url };
  const from = (path: string, name: string, prefix: string): object => ({
    path,
    methods: ['GET'],
    jwt: { authentications: [{ ...authentication, fromHeaders: [{ name, prefix }] }] },
  });
  const gate = await startTestGateway(t, {
    rules: JSON.stringify(
      v2([
        from('/kyma', 'X-JWT-Assertion', 'Kyma '),
        from('/bearer', 'X-JWT-Assertion', 'Bearer '),
        from('/own', 'Authorization', 'JwtToken '),
        from('/equals', 'X-JWT-Assertion', 'token='),
      ]),
    ),
    clock,
  });
  const token = await issuer.sign(key, 'k', { iss: 'https://as.example' }, { alg: 'ES256' });
  const status = async (path: string, headers: Record<string, string>): Promise<number> =>
    (await ask(gate, path, { host: 'parcels.example', headers })).status;
  t.equal(await status('/kyma', { 'x-jwt-assertion': `Kyma ${token}` }), 200);
  t.equal(await status('/kyma', { 'x-jwt-assertion': token }), 401);
  t.equal(await status('/kyma', { authorization: `Bearer ${token}` }), 401);
  t.equal(await status('/bearer', { 'x-jwt-assertion': `Bearer ${token}` }), 200);
  t.equal(await status('/own', { authorization: `JwtToken ${token}` }), 200);
  t.equal(await status('/own', { authorization: `Bearer ${token}` }), 401);
  t.equal(await status('/equals', { 'x-jwt-assertion': `token=${token}` }), 200);
  t.equal(await status('/equals', { 'x-jwt-assertion': `other=${token}` }), 401);
  t.equal(await status('/equals', { 'x-jwt-assertion': `token=${token}, token=${token}` }), 400);
});

t.test('what the cluster said for all rules of jwt and id_token can be said here', (t) => {
  const guarded = rule('/list', ['GET'], { handler: 'jwt', config: { required_scope: ['a.b'] } });
  t.match(load(t, v1beta1([guarded])).lines, [/:19:13 error invalid-value .*"jwks_urls".*kyma\.jwksUrls/]);
  const { handlers } = options;
  const jwt = { keyUrls: ['https://as.example/keys'], trustedIssuers: ['https://as.example'] };
  const { table, lines } = load(t, v1beta1([guarded]), {
    handlers: { ...handlers, jwt: { ...jwt, scopeStrategy: 'wildcard' } },
  });
  t.same(lines, []);
  t.match(table?.rules[0]?.strategies[0], {
    keySources: [{ issuers: ['https://as.example'], urls: ['https://as.example/keys'] }],
  });
  const signed = {
    ...guarded,
    ...rule('/list', ['GET'], introspection('a')),
    mutators: [{ handler: 'id_token' }],
  };
  t.match(load(t, v1beta1([signed])).lines, [/warning temporary-signing-key .*the setting kyma\.idToken/]);
  const idToken = { issuerUrl: 'https://gate.example', jwksUrl: 'file:///no/such/keys.json' };
  t.match(load(t, v1beta1([signed]), { idToken }).lines, [/mutators\.0\.config\.jwks_url/], 'it is used');
  t.end();
});

/** Two APIRules of one export, the first of which cannot be served. */
function listing(more: { readonly host?: string; readonly bad?: object } = {}): object {
  const good = v1beta1([rule('/list', ['GET'], introspection('read'))]) as { metadata: object };
  const bad = apiRule('v2', {
    gateway: 'a/b',
    hosts: [more.host ?? 'labels.example'],
    service: { name: 'labels', port: 1 },
    rules: [more.bad ?? { path: '/*', methods: ['GET'], extAuth: { authorizers: ['sso'] } }],
  }) as { metadata: object };
  bad.metadata = { name: 'labels', namespace: 'depot' };
  return { apiVersion: 'v1', kind: 'List', items: [bad, good] };
}

t.test('what of an export cannot be served is named, and left out where the settings say so', (t) => {
  const refused = load(t, listing());
  t.equal(refused.table, undefined);
  t.match(refused.lines, [/error unsupported-handler depot\/labels: /]);
  const { table, lines } = load(t, listing(), { unserved: 'leaveOut' });
  t.match(lines, [
    /warning left-out depot\/labels is left out.*labels\.example get 404/,
    /warning unsupported-handler depot\/labels: /,
  ]);
  t.ok(table?.find('parcels.example', 'GET', '/list'));
  t.equal(table?.find('labels.example', 'GET', '/x'), undefined);
  const json = load(t, JSON.stringify(listing()), { unserved: 'leaveOut' });
  t.ok(json.table, 'also as JSON');
  t.end();
});

t.test('an APIRule is not left out where another one would answer its requests', (t) => {
  for (const host of ['parcels.example', '*.example']) {
    const { table, lines } = load(t, listing({ host }), { unserved: 'leaveOut' });
    t.equal(table, undefined, host);
    t.match(
      lines.join('\n'),
      /error not-left-out depot\/labels cannot be left out, because depot\/parcels serves/,
    );
  }
  const unknown = load(t, listing({ host: 'a..b' }), { unserved: 'leaveOut' });
  t.equal(unknown.table, undefined);
  t.match(unknown.lines.join('\n'), /error not-left-out .*its hosts are not known/);
  t.end();
});

t.test('an APIRule whose own rules overlap is left out as well', (t) => {
  const rules = [rule('/.*', ['GET'], introspection('read')), rule('/a', ['GET'], introspection('write'))];
  const twice = v1beta1(rules) as { metadata: object; spec: object };
  twice.metadata = { name: 'twice' };
  twice.spec = { ...twice.spec, host: 'twice.example' };
  const good = v1beta1([rule('/list', ['GET'], introspection('read'))]);
  const document = { kind: 'List', items: [twice, good] };
  t.equal(load(t, document).table, undefined);
  const { table, lines } = load(t, document, { unserved: 'leaveOut' });
  t.match(lines, [/warning left-out default\/twice/, /warning overlap /]);
  t.ok(table?.find('parcels.example', 'GET', '/list'));
  t.equal(table?.find('twice.example', 'GET', '/a'), undefined);
  t.end();
});
