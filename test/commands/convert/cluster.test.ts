import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { main } from '../../../src/cli.js';
import type { Rule } from '../../../src/model/rule.js';
import { loadRules } from '../../../src/rules/load.js';
import { options } from '../../rules/options.js';
import { Recorder } from '../io.js';

const GROUP = 'gateway.kyma-project.io';
const SPEC = {
  host: 'parcels',
  service: { name: 'parcels', port: 8080 },
  gateway: 'kyma-system/kyma-gateway',
  rules: [
    {
      path: '/.*',
      methods: ['GET'],
      mutators: null,
      accessStrategies: [{ handler: 'oauth2_introspection', config: { required_scope: ['on', 'read'] } }],
    },
  ],
};

/** What the API server prints of an APIRule. */
function printed(name: string, more: { version?: string; spec?: object; annotations?: object } = {}): object {
  const { version = 'v2', spec = {}, annotations = {} } = more;
  return {
    apiVersion: `${GROUP}/${version}`,
    kind: 'APIRule',
    metadata: {
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
        'depot.example/owner': 'me',
        ...annotations,
      },
      creationTimestamp: '2025-03-01T12:00:00Z',
      generation: 3,
      labels: { app: name },
      managedFields: [{ manager: 'kubectl' }],
      name,
      namespace: 'depot',
      resourceVersion: '4711',
      uid: '00000000-0000-4000-8000-000000000000',
    },
    spec,
    status: { state: 'Ready' },
  };
}

const kept = (spec: object = SPEC): object => ({
  [`${GROUP}/original-version`]: 'v1beta1',
  [`${GROUP}/v1beta1-spec`]: JSON.stringify(spec),
});
const JWT = { authentications: [{ issuer: 'https://as.example', jwksUri: 'https://as.example/keys' }] };
const V2 = {
  rules: [{ path: '/*', methods: ['GET'], jwt: JWT }],
  hosts: ['labels.example'],
  gateway: 'a/b',
  service: { port: 1, name: 'labels' },
};

async function convert(t: Test, content: object | string, args: readonly string[] = []) {
  const folder = t.testdir({});
  const file = join(folder, 'export.yaml');
  writeFileSync(file, typeof content === 'string' ? content : stringify(content));
  const io = new Recorder();
  const out = join(folder, 'rules');
  const code = await main(['convert', ...args.map((each) => (each === 'OUT' ? out : each)), file], io);
  const lines = io.stderr.replaceAll(`${folder}/`, '').trimEnd().split('\n');
  return { code, out, file, lines, stdout: io.stdout };
}

/** What decides, of rules. */
function meaning(rules: readonly Rule[] = []): object[] {
  return rules.map(({ id, hosts, methods, pattern, strategies, upstream, timeout }) => {
    const asked = strategies.map(({ handler, requiredScopes }) => [handler, requiredScopes]);
    return { id, hosts, methods, pattern: pattern.source, asked, upstream, timeout };
  });
}

t.test('an export becomes one clean file for each APIRule, which says the same', async (t) => {
  const listing = {
    apiVersion: 'v1',
    kind: 'List',
    metadata: { resourceVersion: '' },
    items: [
      printed('parcels', { annotations: kept() }),
      printed('labels', { version: 'v2alpha1', spec: V2 }),
      printed('old', {
        version: 'v1alpha1',
        spec: { ...SPEC, host: undefined, service: { ...SPEC.service, host: 'old.example' } },
      }),
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'parcels' } },
    ],
  };
  for (const text of [listing, JSON.stringify(listing)]) {
    const { code, out, file, lines } = await convert(t, text, ['--out', 'OUT']);
    t.equal(code, 0, lines.join('\n'));
    t.same(lines, ['convert: 3 APIRules, 0 findings']);
    t.same(readdirSync(out).sort(), [
      'depot.labels.yaml',
      'depot.old.yaml',
      'depot.parcels.yaml',
      'report.txt',
    ]);
    t.equal(
      readFileSync(join(out, 'depot.parcels.yaml'), 'utf8'),
      `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: parcels
  namespace: depot
  labels:
    app: parcels
  annotations:
    depot.example/owner: me
spec:
  gateway: kyma-system/kyma-gateway
  host: parcels
  service:
    name: parcels
    port: 8080
  rules:
    - path: /.*
      methods:
        - GET
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope:
              - "on"
              - read
`,
    );
    t.match(
      readFileSync(join(out, 'depot.labels.yaml'), 'utf8'),
      /^apiVersion: gateway\.kyma-project\.io\/v2\n/,
    );
    const all = { ...options, domain: 'kyma.example' };
    const byId = (a: Rule, b: Rule): number => (a.id < b.id ? -1 : 1);
    const before = loadRules([file], all);
    const after = loadRules([out], all);
    t.same(after.findings, []);
    t.same(meaning(after.table?.rules.toSorted(byId)), meaning(before.table?.rules.toSorted(byId)));
  }
});

t.test('what is wrong with an APIRule has its place in the new file', async (t) => {
  const spec = { ...SPEC, rules: [{ ...SPEC.rules[0], methods: ['get'] }] };
  const { code, out, lines } = await convert(t, printed('parcels', { annotations: kept(spec) }), [
    '--out',
    'OUT',
  ]);
  t.equal(code, 1);
  t.match(
    lines[0],
    /^rules\/depot\.parcels\.yaml:19:11 error invalid-method depot\/parcels: .*did you mean GET\?$/,
  );
  t.match(readFileSync(join(out, 'report.txt'), 'utf8'), /^depot\/parcels: .*\n.*invalid-method/);
});

t.test('an APIRule of which nobody knows what it says is not written', async (t) => {
  const edited = printed('labels', { spec: V2, annotations: kept({ ...SPEC, host: 'labels.example' }) });
  const strange = printed('../../x', { annotations: kept() });
  const twice = [printed('parcels', { annotations: kept() }), printed('parcels', { annotations: kept() })];
  const document = { kind: 'List', items: [edited, strange, ...twice] };
  const { code, out, lines } = await convert(t, document, ['--out', 'OUT']);
  t.equal(code, 1);
  t.match(lines.slice(0, 3), [
    /error edited-export depot\/labels/,
    /error invalid-value/,
    /error duplicate-apirule/,
  ]);
  t.same(readdirSync(out).sort(), ['depot.parcels.yaml', 'report.txt']);
});

t.test('a file that somebody has changed is not overwritten', async (t) => {
  const document = printed('parcels', { annotations: kept() });
  const { out, file } = await convert(t, document, ['--out', 'OUT']);
  const again = new Recorder();
  t.equal(await main(['convert', '--out', out, file], again), 0, 'the same is no change');
  const target = join(out, 'depot.parcels.yaml');
  writeFileSync(target, 'mine');
  const changed = new Recorder();
  t.equal(await main(['convert', '--out', out, file], changed), 1);
  t.match(
    changed.stderr,
    /depot\.parcels\.yaml:1:1 error unwritable-file the file already exists with other content: remove it/,
  );
  t.equal(readFileSync(target, 'utf8'), 'mine');
});

t.test('without a folder, APIRules and access rules are printed together', async (t) => {
  const access = {
    id: 'orders',
    match: { url: 'https://api.example.com/orders', methods: ['GET'] },
    authenticators: [{ handler: 'noop' }],
    authorizer: { handler: 'allow' },
    mutators: [{ handler: 'noop' }],
    upstream: { url: 'http://orders:8080' },
  };
  const resource = {
    apiVersion: 'oathkeeper.ory.sh/v1alpha1',
    kind: 'Rule',
    metadata: { name: 'own' },
    spec: access,
  };
  const document = { kind: 'List', items: [printed('parcels', { annotations: kept() }), resource] };
  const { code, stdout, lines, out } = await convert(t, document);
  t.equal(code, 0, lines.join('\n'));
  t.match(stdout, /name: parcels.*---\n.*name: orders/s);
  t.notOk(existsSync(out));
});
