import t from 'tap';
import { formatFinding } from '../../../src/document/finding.js';
import type { Rule } from '../../../src/model/rule.js';
import { buildTable } from '../../../src/rules/table/table.js';
import { rule } from './rule.js';

const tutorial = () => [
  rule({
    id: 'demo/httpbin#0',
    source: 'httpbin.yaml:12:7',
    methods: ['GET'],
    path: '/.*',
    scopes: ['read'],
  }),
  rule({
    id: 'demo/httpbin#1',
    source: 'httpbin.yaml:18:7',
    methods: ['POST'],
    path: '/post',
    scopes: ['write'],
  }),
];
const head = () =>
  rule({ id: 'demo/head#0', source: 'more.yaml:9:7', methods: ['GET'], path: '/head.*', scopes: ['write'] });

t.test('overlap: error names both places and a witness', (t) => {
  const { table, findings } = buildTable([...tutorial(), head()], { overlap: 'error', version: 1 });
  t.equal(table, undefined);
  t.same(findings.map(formatFinding), [
    'more.yaml:9:7 error overlap /head.* (demo/head#0) overlaps with /.* (demo/httpbin#0) of httpbin.yaml:12:7: ' +
      'both match /head (GET httpbin.kyma.local); /head.* lies inside /.*: with matching.overlap: specific, ' +
      '/head.* would decide there',
  ]);
  t.end();
});

t.test('overlap: specific lets the inner rule answer, in any order', (t) => {
  for (const rules of permutations([...tutorial(), head()])) {
    const { table, findings } = buildTable(rules, { overlap: 'specific', version: 7 });
    t.same(findings, []);
    t.equal(table?.version, 7);
    const scopes = (method: string, path: string) =>
      table?.find('httpbin.kyma.local', method, path)?.strategies[0]?.requiredScopes;
    t.same(scopes('GET', '/headers'), ['write']);
    t.same(scopes('GET', '/head'), ['write']);
    t.same(scopes('GET', '/get'), ['read']);
    t.same(scopes('POST', '/post'), ['write']);
    t.equal(scopes('POST', '/get'), undefined);
    t.equal(scopes('PUT', '/post'), undefined);
    t.equal(table?.find('other.kyma.local', 'GET', '/get'), undefined);
  }
  t.end();
});

t.test('of three rules inside each other the innermost answers', (t) => {
  const rules = [rule({ path: '/.*' }), rule({ path: '/a/[^/]+' }), rule({ path: '/a/b' })];
  for (const order of permutations(rules)) {
    const { table } = buildTable(order, { overlap: 'specific', version: 1 });
    const path = (asked: string) => table?.find('httpbin.kyma.local', 'GET', asked)?.path;
    t.equal(path('/a/b'), '/a/b');
    t.equal(path('/a/c'), '/a/[^/]+');
    t.equal(path('/a/b/c'), '/.*');
  }
  t.end();
});

t.test('specific refuses equal and partial overlaps', (t) => {
  const codes = (...paths: string[]) =>
    buildTable(
      paths.map((path) => rule({ path })),
      { overlap: 'specific', version: 1 },
    ).findings.map(({ code }) => code);
  t.same(codes('/a.*', '/.*b'), ['overlap-partial']);
  t.same(codes('/x[0-9]', '/x\\d'), ['overlap-equal']);
  t.same(codes('/x', '/x'), ['duplicate-rule']);
  t.same(codes('/x', '/y'), []);
  t.end();
});

t.test('a literal duplicate is a finding of its own', (t) => {
  const rules = [rule({ path: '/x', source: 'a.yaml:1:1' }), rule({ path: '/x', source: 'b.yaml:1:1' })];
  for (const overlap of ['error', 'specific'] as const) {
    t.match(buildTable(rules, { overlap, version: 1 }).findings, [
      { file: 'b.yaml', line: 1, col: 1, level: 'error', code: 'duplicate-rule', message: /a\.yaml:1:1/ },
    ]);
  }
  t.end();
});

t.test('the host * is any host, and every other host lies inside of it', (t) => {
  const rules = [
    rule({ hosts: ['*'], path: '/.*' }),
    rule({ hosts: ['*.example'], path: '/x.*' }),
    rule({ hosts: ['a.example'], path: '/x' }),
  ];
  const { table } = buildTable(rules, { overlap: 'specific', version: 1 });
  t.equal(table?.find('a.example', 'GET', '/x'), rules[2]);
  t.equal(table?.find('b.example', 'GET', '/x'), rules[1]);
  for (const host of ['other', 'a.b.c', '127.0.0.1', '[::1]'])
    t.equal(table?.find(host, 'GET', '/x'), rules[0], host);
  t.equal(table?.find('*', 'GET', '/x'), undefined);
  t.match(buildTable(rules, { overlap: 'error', version: 1 }).findings[0], { code: 'overlap' });
  t.end();
});

t.test('hosts: exact and wildcard overlap; the narrower lies inside', (t) => {
  const exact = rule({ hosts: ['api.example.com'], path: '/v1/.*', source: 'exact.yaml:1:1' });
  const wild = rule({ hosts: ['*.example.com'], path: '/.*', source: 'wild.yaml:1:1' });
  t.match(buildTable([wild, exact], { overlap: 'error', version: 1 }).findings, [
    { code: 'overlap', message: /api\.example\.com/ },
  ]);
  for (const rules of permutations([wild, exact])) {
    const { table, findings } = buildTable(rules, { overlap: 'specific', version: 1 });
    t.same(findings, []);
    t.equal(table?.find('api.example.com', 'GET', '/v1/x'), exact);
    t.equal(table?.find('api.example.com', 'GET', '/v2/x'), wild);
    t.equal(table?.find('www.example.com', 'GET', '/v1/x'), wild);
    t.equal(table?.find('a.b.example.com', 'GET', '/v1/x'), wild);
    t.equal(
      table?.find('example.com', 'GET', '/v1/x'),
      undefined,
      'a wildcard stands for at least one label',
    );
    t.equal(table?.find('badexample.com', 'GET', '/v1/x'), undefined);
    t.equal(table?.find('*.example.com', 'GET', '/v1/x'), undefined, 'a pattern is no host');
  }
  const narrowPath = rule({ hosts: ['*.example.com'], path: '/admin' });
  const narrowHost = rule({ hosts: ['api.example.com'], path: '/.*' });
  t.match(
    buildTable([narrowPath, narrowHost], { overlap: 'specific', version: 1 }).findings,
    [{ code: 'overlap-partial' }],
    'narrower host against narrower path settles nothing',
  );
  const both = rule({ hosts: ['api.example.com', '*.example.com'], path: '/admin' });
  t.same(
    buildTable([both], { overlap: 'error', version: 1 }).findings,
    [],
    'a rule does not overlap with itself',
  );
  t.end();
});

t.test('what cannot be decided is a warning, and scopegate refuses a request that both match', (t) => {
  const rules = [rule({ path: '/(?!admin/[0-9]{9}x).*' }), rule({ path: '/admin/[0-9]{9}x.*' })];
  const undecided = buildTable(rules, { overlap: 'error', version: 1 });
  t.match(undecided.findings, [
    { level: 'warning', code: 'overlap-undecided', message: /negative lookahead/ },
  ]);
  t.equal(undecided.table?.find('httpbin.kyma.local', 'GET', '/x'), rules[0]);
  t.equal(undecided.table?.find('httpbin.kyma.local', 'GET', '/admin/123456789x'), rules[1]);

  const hidden = [rule({ path: '/(?!admin).*' }), rule({ path: '/(?=[0-9]{12}x)[0-9]*x' })];
  const table = buildTable(hidden, { overlap: 'error', version: 1 }).table;
  t.equal(table?.find('httpbin.kyma.local', 'GET', '/123456789012x'), undefined);
  t.equal(table?.find('httpbin.kyma.local', 'GET', '/12x'), hidden[0]);
  t.end();
});

t.test('beside a catch-all even what cannot be decided has its place', (t) => {
  const rules = [rule({ path: '/.*' }), rule({ path: '/(?!admin).*x' })];
  for (const order of permutations(rules)) {
    const { table, findings } = buildTable(order, { overlap: 'specific', version: 1 });
    t.same(findings, []);
    t.equal(table?.find('httpbin.kyma.local', 'GET', '/yx'), rules[1]);
    t.equal(table?.find('httpbin.kyma.local', 'GET', '/adminx'), rules[0]);
  }
  t.end();
});

t.test("Kyma's traps are warnings", (t) => {
  const allow = rule({
    id: 'demo/a#0',
    path: '/.*',
    methods: ['GET'],
    handler: 'allow',
    source: 'a.yaml:1:1',
  });
  const guarded = rule({ id: 'demo/a#1', path: '/post', methods: ['POST'], source: 'a.yaml:2:1' });
  const { table, findings } = buildTable([allow, guarded], { overlap: 'error', version: 1 });
  t.match(findings, [
    { line: 1, level: 'warning', code: 'kyma-allow-methods', message: /HEAD, POST, PUT/ },
    { line: 2, level: 'warning', code: 'kyma-shadowed-rule', message: /a\.yaml:1:1/ },
  ]);
  t.equal(table?.find('httpbin.kyma.local', 'POST', '/post'), guarded);
  t.same(buildTable(tutorial(), { overlap: 'error', version: 1 }).findings, [], 'the tutorial has none');
  t.end();
});

t.test('a rule that no request can reach is a warning', (t) => {
  for (const path of ['get', '/a b', '/x\\?y=1', '']) {
    const { findings } = buildTable([rule({ path })], { overlap: 'error', version: 1 });
    t.match(findings, [{ level: 'warning', code: 'pattern-matches-nothing' }], path);
  }
  t.end();
});

t.test(
  'so is one whose empty segments, dot segments or odd escapes no path still has when it is matched',
  (t) => {
    for (const [path, form] of [
      ['/x//y', '/x/y'],
      ['/x/\\.\\./y\\.json', '/y\\.json'],
      ['(/|/x/)/y', undefined],
      ['/a%5[Cc]b', undefined],
      ['/a%4', undefined],
    ] as const) {
      const { findings } = buildTable([rule({ path })], { overlap: 'error', version: 1 });
      t.match(findings, [{ level: 'warning', code: 'pattern-matches-nothing' }], path);
      const hint = /did you mean (.*)\?$/.exec(findings[0]?.message ?? '')?.[1];
      t.equal(hint, form, path);
    }
    for (const path of [
      '/a%2Fb',
      '/a%2[Ff]b',
      '/caf%C3%A9',
      '/x/',
      '/',
      '/\\.well-known/.*',
      '/...',
      '/a;b',
      '/.*',
    ]) {
      t.same(buildTable([rule({ path })], { overlap: 'error', version: 1 }).findings, [], path);
    }
    t.end();
  },
);

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}

t.test('what a finding advises does not depend on the order of rules and hosts', (t) => {
  const parts = [
    { path: '/', hosts: ['b.example.com', '*.y.example.com'], methods: ['GET'] },
    { path: '/', hosts: ['x.y.example.com'], methods: ['POST'] },
    { path: '/a*', hosts: ['b.example.com', 'x.y.example.com'], methods: ['GET', 'POST'] },
  ];
  const rules = parts.map((each, i) => rule({ ...each, id: `a/b#${i}`, source: `a.yaml:${i + 1}:1` }));
  const [first, second, third] = rules as [Rule, Rule, Rule];
  const found = buildTable(rules, { overlap: 'error', version: 1 }).findings;
  t.match(found, [
    { message: /change their paths or methods so that no request matches both$/ },
    { message: /\/ would decide there$/ },
  ]);
  for (const order of [
    [second, first, third],
    [third, first, second],
    [second, third, first],
  ])
    t.same(buildTable(order, { overlap: 'error', version: 1 }).findings, found);
  t.end();
});

t.test('two patterns whose first segment is open and whose second is the same text overlap', (t) => {
  for (const [a, b] of [
    ['/[a-m]+/edit', '/[k-z]+/edit'],
    ['/x[^/]*/edit', '/[^/]*y/edit'],
    ['/[a-m]+/[^/]+/edit', '/[k-z]+/new/edit'],
  ] as const) {
    for (const paths of [
      [a, b],
      [b, a],
    ]) {
      const { findings } = buildTable(
        paths.map((path) => rule({ path })),
        { overlap: 'specific', version: 1 },
      );
      t.match(findings, [{ code: 'overlap-partial', level: 'error' }], paths.join(' and '));
    }
  }
  t.end();
});

t.test('a finding names the APIRule where both rules are of the same one', (t) => {
  const found = (first: string, second: string) =>
    buildTable([rule({ path: '/a.*', id: first }), rule({ path: '/ab', id: second })], {
      overlap: 'error',
      version: 1,
    }).findings.map(({ apiRule }) => apiRule);
  t.same(found('demo/one#0', 'demo/one#1'), ['demo/one']);
  t.same(found('demo/one#0', 'demo/two#0'), [undefined]);
  t.end();
});

t.test('patterns whose automata are too large are refused, and the finding says so', (t) => {
  const rules = [rule({ path: '/[ab]*a[ab]{14}' }), rule({ path: '/[ab]*b[ab]{14}' })];
  for (const overlap of ['error', 'specific'] as const) {
    const { table, findings } = buildTable(rules, { overlap, version: 1 });
    t.equal(table, undefined);
    t.match(findings, [
      { level: 'error', code: 'overlap-undecided', message: /their automata are too large$/ },
    ]);
  }
  t.end();
});

t.test('a text that no path can be overlaps with nothing', (t) => {
  const rules = [rule({ path: '/a b' }), rule({ path: '/a.b' })];
  const { findings } = buildTable(rules, { overlap: 'specific', version: 1 });
  t.match(findings, [{ level: 'warning', code: 'pattern-matches-nothing', message: /printable ASCII/ }]);
  t.end();
});
