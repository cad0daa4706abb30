import { join, relative } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import { formatFinding } from '../../src/document/finding.js';
import { type LoadOptions, loadRules } from '../../src/rules/load.js';
import { options } from './options.js';
import { tutorialManifests } from './tutorial.js';

/** An APIRule named `name` on its own host. */
function apiRule(
  name: string,
  rules = '    - { path: /, methods: [GET], accessStrategies: [{ handler: no_auth }] }\n',
): string {
  return `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: ${name}, namespace: demo }
spec:
  gateway: kyma-system/kyma-gateway
  host: ${name}.kyma.local
  service: { name: ${name}, port: 80 }
  rules:
${rules}`;
}

/** Findings as `file:line:col code`, the file seen from the folder. */
function load(folder: string, more: Partial<LoadOptions> = {}, paths = [folder]) {
  const { table, findings } = loadRules(paths, { ...options, ...more });
  return {
    table,
    findings,
    short: findings.map(({ file, line, col, code }) => `${relative(folder, file)}:${line}:${col} ${code}`),
  };
}

t.test('the tutorial’s manifests, in one file or in two, in either order', (t) => {
  const [a, b] = tutorialManifests();
  for (const files of [
    { 'all.yaml': `${a}---\n${b}` },
    { 'all.yml': `---\n${b}---\n${a}` },
    { 'a.yaml': a, 'b.yaml': b },
  ]) {
    const { table, findings } = load(t.testdir(files));
    t.same(findings, []);
    t.equal(table?.version, 1);
    t.equal(table?.find('httpbin.kyma.local', 'GET', '/headers')?.id, 'demo/httpbin#0');
    t.equal(table?.find('httpbin.kyma.local', 'POST', '/post')?.id, 'demo/httpbin#1');
    t.equal(table?.find('function-example.kyma.local', 'GET', '/function')?.id, 'demo/function#0');
    t.equal(table?.find('httpbin.kyma.local', 'POST', '/headers'), undefined);
    t.equal(table?.find('function-example.kyma.local', 'GET', '/'), undefined);
  }
  t.end();
});

t.test('a folder stands for its YAML and JSON files, subfolders too, hidden names not', (t) => {
  const json = JSON.stringify({
    apiVersion: 'gateway.kyma-project.io/v1beta1',
    kind: 'APIRule',
    metadata: { name: 'json' },
    spec: {
      gateway: 'g',
      host: 'json.kyma.local',
      service: { name: 'json', port: 80 },
      rules: [{ path: '/', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] }],
    },
  });
  const folder = t.testdir({
    'b.yaml': apiRule('b'),
    'a.yml': apiRule('a'),
    'c.json': json,
    'README.md': '# not: [a rule',
    'backup.yaml~': 'not: [a rule',
    '.hidden.yaml': 'not: [a rule',
    '.git': { 'x.yaml': 'not: [a rule' },
    team: { 'd.yaml': apiRule('d') },
  });
  const { table, findings } = load(folder);
  t.same(findings, []);
  t.same(
    table?.rules.map(({ id }) => id),
    ['demo/a#0', 'demo/b#0', 'default/json#0', 'demo/d#0'],
  );
  t.end();
});

t.test('a mounted ConfigMap is read through its links, each file once', (t) => {
  const folder = t.testdir({
    '..2026_01_01': { 'a.yaml': apiRule('a') },
    '..data': t.fixture('symlink', '..2026_01_01'),
    'a.yaml': t.fixture('symlink', '..data/a.yaml'),
  });
  const { table, short } = load(folder, {}, [folder, join(folder, 'a.yaml')]);
  t.same(short, []);
  t.equal(table?.rules.length, 1);
  t.equal(relative(folder, table?.rules[0]?.source ?? ''), 'a.yaml:9:7', 'by the name people know');
  t.end();
});

t.test('folders that lead in a circle end', (t) => {
  const folder = t.testdir({ 'a.yaml': apiRule('a'), loop: t.fixture('symlink', '.') });
  t.equal(load(folder).table?.rules.length, 1);
  t.end();
});

t.test('what cannot be read is an error', (t) => {
  const folder = t.testdir({
    'a.yaml': apiRule('a'),
    'dangling.yaml': t.fixture('symlink', 'nowhere'),
    'latin1.yaml': Buffer.from([0x61, 0x3a, 0x20, 0xe9]),
  });
  t.same(load(folder).short, ['dangling.yaml:1:1 unreadable-file', 'latin1.yaml:1:1 unreadable-file']);
  t.same(load(folder, {}, [join(folder, 'absent')]).short, ['absent:1:1 unreadable-file']);
  t.end();
});

t.test('a set without rules is an error', (t) => {
  const folder = t.testdir({ 'empty.yaml': '', 'comment.yaml': '# nothing\n---\n' });
  const { table, short } = load(folder);
  t.equal(table, undefined);
  t.same(short, [':1:1 no-rules']);
  t.end();
});

t.test('documents of other kinds are passed over, unknown ones with a warning', (t) => {
  const others = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: c }
spec: { grantTypes: [client_credentials], secretName: c }
---
apiVersion: v1
kind: Service
metadata: { name: s }
---
apiVersion: oathkeeper.ory.sh/v1alpha1
kind: Rule
---
greeting: hello
---
${apiRule('a')}`;
  const folder = t.testdir({ 'all.yaml': others });
  const { table, findings, short } = load(folder);
  t.same(short, ['all.yaml:11:7 ignored-document', 'all.yaml:13:1 ignored-document']);
  t.ok(findings.every(({ level }) => level === 'warning'));
  t.equal(table?.rules.length, 1);
  t.end();
});

t.test('lists as kubectl prints them, positions exact', (t) => {
  const indent = (text: string) => text.trimEnd().replaceAll('\n', '\n  ');
  const list = (...items: string[]) =>
    `apiVersion: v1\nitems:\n${items.map((item) => `- ${indent(item)}\n`).join('')}kind: List\nmetadata:\n  resourceVersion: ""\n`;
  const [a, b] = tutorialManifests();
  const good = load(t.testdir({ 'l.yaml': list(a, 'kind: Secret\n', list(b)) }));
  t.same(good.short, []);
  t.equal(good.table?.rules.length, 3);

  const text = list(a, b.replace('handler:', 'handlr:'));
  const bad = load(t.testdir({ 'l.yaml': text }));
  const line = text.split('\n').findIndex((each) => each.includes('handlr')) + 1;
  const col = (text.split('\n')[line - 1] as string).indexOf('handlr') + 1;
  t.same(bad.short, [`l.yaml:${line}:${col} unknown-field`]);
  t.equal(bad.table, undefined);

  t.same(load(t.testdir({ 'l.yaml': 'kind: List\nitems: 5\n' })).short, ['l.yaml:2:8 missing-field']);
  t.same(load(t.testdir({ 'l.yaml': 'kind: List\nitems: [7]\n' })).short, ['l.yaml:2:9 wrong-type']);
  t.end();
});

/** What `kubectl get apirule -o yaml` prints today of an APIRule that was written as v1beta1. */
function printed(spec: string, version = 'v2', original = 'v1beta1'): string {
  return `apiVersion: gateway.kyma-project.io/${version}
kind: APIRule
metadata:
  annotations:
    gateway.kyma-project.io/original-version: ${original}
    gateway.kyma-project.io/v1beta1-spec: '${spec}'
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"gateway.kyma-project.io/v1beta1","kind":"APIRule"}
  creationTimestamp: "2026-01-01T00:00:00Z"
  finalizers:
  - gateway.kyma-project.io/subresources
  generation: 1
  labels: {}
  managedFields: []
  name: httpbin
  namespace: demo
  resourceVersion: "4711"
  uid: 00000000-0000-0000-0000-000000000000
spec: {}
status:
  lastProcessedTime: "2026-01-01T00:00:00Z"
  state: Warning
`;
}

const SPEC =
  '{"host":"httpbin.kyma.local","service":{"name":"httpbin","port":8000},"gateway":"kyma-system/kyma-gateway","rules":[{"path":"/.*","methods":["GET"],"accessStrategies":[{"handler":"oauth2_introspection","config":{"required_scope":["read"]}}]}]}';

t.test('the spec is taken from the annotation that Kyma keeps it in', (t) => {
  for (const version of ['v2', 'v2alpha1', 'v1beta1']) {
    const { table, findings } = load(t.testdir({ 'a.yaml': printed(SPEC, version) }));
    t.same(findings, [], version);
    t.same(
      table?.rules.map(({ id, source }) => [id, source.replace(/.*\//, '')]),
      [['demo/httpbin#0', 'a.yaml:6:43']],
    );
  }
  const both = printed(SPEC.replace('read', 'other'), 'v1beta1').replace('spec: {}', `spec: ${SPEC}`);
  const { table } = load(t.testdir({ 'a.yaml': both }));
  t.same(table?.rules[0]?.strategies[0]?.requiredScopes, ['read'], 'a v1beta1 spec that is there counts');
  t.end();
});

t.test('errors inside the annotation point at it and name the path inside', (t) => {
  const { findings } = load(t.testdir({ 'a.yaml': printed(SPEC.replace('"path"', '"pfad"')) }));
  t.match(findings, [
    { line: 6, col: 43, code: 'missing-field', message: /spec\.rules\.0 must have the field "path"/ },
    { line: 6, col: 43, code: 'unknown-field', message: /"pfad" in spec\.rules\.0/ },
  ]);
  const syntax = load(t.testdir({ 'a.yaml': printed(SPEC.slice(0, -1)) }));
  t.ok(syntax.findings.length > 0);
  t.ok(
    syntax.findings.every(
      ({ line, col, code, message }) =>
        line === 6 && col === 43 && code === 'yaml-syntax' && /in the annotation/.test(message),
    ),
  );
  t.match(load(t.testdir({ 'a.yaml': printed('[]') })).findings, [{ line: 6, code: 'wrong-type' }]);
  t.match(load(t.testdir({ 'a.yaml': printed(SPEC.replace('"host"', '"host":"x.y","host"')) })).findings, [
    { line: 6, code: 'duplicate-key' },
  ]);
  t.end();
});

t.test('an APIRule that was migrated for good is not served from what it was', (t) => {
  const migrated = load(t.testdir({ 'a.yaml': printed(SPEC, 'v2', 'v2') }));
  t.match(migrated.short, [/missing-field/, /missing-field/], 'its spec is empty, and that is what counts');
  const plain = load(t.testdir({ 'a.yaml': apiRule('a').replace('v1beta1', 'v2') }));
  t.match(
    plain.short,
    ['a.yaml:6:3 unknown-field', 'a.yaml:9:34 unknown-field'],
    'the words are those of the other version',
  );
  t.end();
});

t.test('other versions and other kinds of Kyma’s group', (t) => {
  const cases: readonly [string, string][] = [
    [apiRule('a').replace('v1beta1', 'v1beta2'), 'a.yaml:1:13 invalid-value'],
    [apiRule('a').replace('v1beta1', 'v9'), 'a.yaml:1:13 invalid-value'],
    [apiRule('a').replace('kind: APIRule', 'kind: ApiRule'), 'a.yaml:2:7 invalid-value'],
    [apiRule('a').replace('kind:', 'knd:'), 'a.yaml:2:1 unknown-field'],
    [apiRule('a').replace('apiVersion:', 'apiversion:'), 'a.yaml:1:1 unknown-field'],
  ];
  for (const [text, expected] of cases)
    t.same(load(t.testdir({ 'a.yaml': text })).short, [expected], expected);
  t.end();
});

t.test('one mistake a file, one line a mistake', (t) => {
  const rule = (text: string) => apiRule('x', text);
  const folder = t.testdir({
    'a-typo.yaml': rule(
      '    - path: /\n      method: [GET]\n      accessStrategies: [{ handler: no_auth }]\n',
    ),
    'b-type.yaml': rule(
      '    - path: /\n      methods: GET\n      accessStrategies: [{ handler: no_auth }]\n',
    ),
    'c-key.yaml': rule(
      '    - path: /\n      path: /b\n      methods: [GET]\n      accessStrategies: [{ handler: no_auth }]\n',
    ),
    'd-handler.yaml': rule(
      '    - path: /\n      methods: [GET]\n      accessStrategies:\n        - handler: oauth2_introspectoin\n',
    ),
    'e-regex.yaml': rule(
      '    - path: /(\n      methods: [GET]\n      accessStrategies: [{ handler: no_auth }]\n',
    ),
    'f-duplicate.yaml': rule(
      '    - path: /a\n      methods: [GET]\n      accessStrategies: [{ handler: no_auth }]\n    - path: /a\n      methods: [GET]\n      accessStrategies: [{ handler: anonymous }]\n',
    ),
  });
  const { table, short, findings } = load(folder);
  t.equal(table, undefined);
  t.equal(short.length, 6, findings.map(formatFinding).join('\n'));
  t.same(short.slice(0, 4), [
    'a-typo.yaml:10:7 unknown-field',
    'b-type.yaml:10:16 wrong-type',
    'c-key.yaml:10:7 duplicate-key',
    'd-handler.yaml:12:20 unknown-handler',
  ]);
  t.match(short[4], /^e-regex\.yaml:9:13 /);
  t.match(short[5], /^f-duplicate\.yaml:12:7 duplicate-rule$/);
  t.match(findings[5]?.message, 'f-duplicate.yaml:9:7', 'names the other position');
  t.end();
});

t.test('one APIRule in two files is one finding, not one for each rule', (t) => {
  const folder = t.testdir({ 'a.yaml': apiRule('a'), 'copy.yaml': apiRule('a') });
  const { table, short } = load(folder);
  t.equal(table, undefined);
  t.same(short, ['copy.yaml:3:19 duplicate-apirule']);
  t.end();
});

t.test('one broken file, and there is no table', (t) => {
  const folder = t.testdir({ 'a.yaml': apiRule('a'), 'b.yaml': 'kind: [' });
  t.equal(load(folder).table, undefined);
  t.end();
});

t.test('a key mistyped or a value of another type is found on its own line', (t) => {
  const full = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: httpbin
  namespace: demo
spec:
  gateway: kyma-system/kyma-gateway
  host: httpbin.kyma.local
  timeout: 30
  service:
    name: httpbin
    namespace: demo
    port: 8000
  rules:
    - path: /.*
      methods:
        - GET
      timeout: 10
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope:
              - read
      mutators:
        - handler: noop
      scopegate:
        encodedSlash: keep
    - path: /post
      methods:
        - POST
      service:
        name: other
        port: 81
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope:
              - write
            target_audience:
              - api
`;
  const folder = t.testdir({ 'a.yaml': full });
  t.same(load(folder).short, []);

  // Every scalar key and every scalar value, with the lines they stand on.
  const lines = new LineCounter();
  const places: { kind: 'key' | 'value'; line: number; start: number; end: number; text: string }[] = [];
  visit(parseDocument(full, { lineCounter: lines }), {
    Scalar(key, node) {
      const [start, end] = node.range as [number, number, number];
      const kind = key === 'key' ? 'key' : 'value';
      places.push({ kind, line: lines.linePos(start).line, start, end, text: full.slice(start, end) });
    },
    Pair(_, { value }) {
      t.ok(isMap(value) || isSeq(value) || isScalar(value));
    },
  });

  const typo = (text: string, at: number, letters: string): string => {
    if (letters.length > 2) return letters;
    const place = at % (text.length + 1);
    return text.slice(0, place) + letters + text.slice(place);
  };
  const files: Record<string, string> = {};
  fc.assert(
    fc.property(
      fc.constantFrom(...places),
      fc.nat(40),
      fc.constantFrom('x', 'Q', '_', 'zz', 'something'),
      fc.constantFrom('{ a: 1 }', '[ [ 1 ] ]', 'true', 'null'),
      (place, at, letter, other) => {
        const changed = place.kind === 'key' ? typo(place.text, at, letter) : other;
        const text = full.slice(0, place.start) + changed + full.slice(place.end);
        const file = t.testdir({ 'm.yaml': text });
        const { table, findings } = loadRules([file], options);
        files[changed] = text;
        if (table !== undefined || findings[0]?.line !== place.line) {
          throw new Error(
            `line ${place.line} "${changed}" gave ${findings.map(formatFinding).join('; ') || 'nothing'}`,
          );
        }
      },
    ),
    { numRuns: 400 },
  );
  t.ok(Object.keys(files).length > 50, `${Object.keys(files).length} different mistakes`);
  t.end();
});
