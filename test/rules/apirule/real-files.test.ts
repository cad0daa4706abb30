import t from 'tap';
import { apiRule, introspection, JWT, load, rule, v1beta1, v2 } from './real-files-setup.js';

/** A variable as a shell has it. */
const braced = (name: string): string => ['$', '{', name, '}'].join('');

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
    /^r\.yaml:7:43 error edited-export depot\/parcels: spec\.rules\.0\.jwt differs from the annotation /,
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
  t.match(lines, [/warning annotation-ignored .*scopegate uses spec, as Kyma does/]);
  t.equal(table?.rules[0]?.strategies[0]?.handler, 'jwt');
  const migrated = v2([{ path: '/list', methods: ['GET'], jwt: JWT }], { ...open, ...written('v2') });
  t.same(load(t, migrated).lines, [], 'an APIRule of version 2 keeps the annotation of its former life');
  const empty = load(t, v2([], open));
  t.equal(empty.table?.rules[0]?.strategies[0]?.handler, 'no_auth', 'there is nothing else');
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
    t.ok(all.includes(`contains the ${shown},`), shown);
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
  t.match(load(t, mutator).lines, [/^r\.yaml:4:9 error yaml-syntax put the template of a mutator in quotes/]);
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
