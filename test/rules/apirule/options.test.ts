import { join } from 'node:path';
import t from 'tap';
import { explain } from '../../../src/rules/explain.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { options } from '../options.js';

const open = (path: string, scopegate: object) => ({
  path,
  methods: ['GET'],
  accessStrategies: [{ handler: 'noop' }],
  scopegate,
});

t.test('a rule strips a prefix and adds another, and the audit line has both paths', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      open('/api(/.*)?', { stripPath: '/api' }),
      open('/v1/.*', { stripPath: '/v1', upstreamPath: '/base/x' }),
      open('/plain/.*', { upstreamPath: '/base' }),
      open('/keep(/.*)?', { stripPath: '/keep', emptySegments: 'keep', encodedSlash: 'keep' }),
      open('/loose.*', { stripPath: '/loose' }),
    ]),
  });
  const sent = async (path: string) => {
    gate.upstream.received.length = 0;
    const { status } = await ask(gate, path);
    return gate.upstream.received[0]?.url ?? status;
  };
  for (const [path, expected] of [
    ['/api', '/'],
    ['/api/', '/'],
    ['/api/a/b?c=%2F', '/a/b?c=%2F'],
    ['/api//a', '/a'],
    ['/api/x/../a', '/a'],
    ['/apix', 404],
    ['/v1/a', '/base/x/a'],
    ['/v1/', '/base/x/'],
    ['/plain/a', '/base/plain/a'],
    ['/keep/a//b', '/a//b'],
    ['/keep//b', 400],
    ['/keep/a%2Fb', '/a%2Fb'],
    ['/keep/..%2Fapi', 400],
    ['/keep%2Fa', 400],
    ['/loose/a', '/a'],
    ['/loosely', 400],
  ] as const) {
    t.equal(await sent(path), expected, path);
  }
  t.equal(await sent('/v1/a'), '/base/x/a');
  t.match(gate.log.filter(({ msg }) => msg === 'decision').at(-1), {
    path: '/v1/a',
    upstream_path: '/base/x/a',
  });
});

t.test('a rule says which Host its upstream gets', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      open('/keep', { preserveHost: true }),
      open('/own', { preserveHost: false }),
      open('/silent', {}),
    ]),
    settings: { forward: { host: 'preserve' } },
  });
  const host = async (path: string) => {
    await ask(gate, path);
    return gate.upstream.received.at(-1)?.headers.host;
  };
  t.equal(await host('/keep'), 'gate.example');
  t.equal(await host('/silent'), 'gate.example');
  t.match(await host('/own'), /^127\.0\.0\.1:/);
});

t.test('explain says what a client is told, observed or not', (t) => {
  const errors = [{ handler: 'redirect', config: { to: '/login' } }];
  const shut = (path: string, scopegate: object) => ({
    path,
    methods: ['GET'],
    accessStrategies: [{ handler: 'noop' }],
    scopegate: { authorizers: [{ handler: 'deny' }], ...scopegate },
  });
  const folder = t.testdir({
    'r.yaml': apiRule('gate.example', [
      shut('/shut', {}),
      shut('/login-first', { errors }),
      shut('/dry', { enforcement: 'observe' }),
    ]),
  });
  const { table } = loadRules([join(folder, 'r.yaml')], options);
  if (table === undefined) throw new Error('no table');
  const status = (path: string) =>
    explain(table, { method: 'GET', url: `https://gate.example${path}` }).status;
  t.same([status('/shut'), status('/login-first'), status('/dry')], [403, 302, 403]);
  t.end();
});

t.test('explain says the path that is matched and the one that is sent', (t) => {
  const folder = t.testdir({
    'r.yaml': apiRule('gate.example', [open('/api/.*', { stripPath: '/api', upstreamPath: '/b' })]),
  });
  const { table } = loadRules([join(folder, 'r.yaml')], options);
  if (table === undefined) throw new Error('no table');
  const { decision } = explain(table, { method: 'GET', url: 'https://gate.example/api/a' });
  t.match(decision, { allowed: true, path: '/api/a', sentPath: '/b/a' });
  t.end();
});

t.test('a prefix that is no canonical path, or that no path has, is said at load', (t) => {
  const findings = (path: string, scopegate: object) => {
    const folder = t.testdir({ 'r.yaml': apiRule('gate.example', [open(path, scopegate)]) });
    return loadRules([join(folder, 'r.yaml')], options).findings.map(
      ({ level, code, message }) => `${level} ${code} ${message}`,
    );
  };
  for (const [path, scopegate, expected] of [
    ['/api/.*', { stripPath: '/api/' }, /stripPath: "\/api\/" is not canonical: write \/api$/],
    ['/api/.*', { stripPath: '/' }, /it has no effect: remove the field/],
    ['/api/.*', { stripPath: 'api' }, /^error invalid-value/],
    ['/api/.*', { stripPath: '/a/../api' }, /write \/api$/],
    ['/api/.*', { stripPath: '/a%2Fb' }, /must not contain %2F/],
    ['/api/.*', { stripPath: '/api?x' }, /without query/],
    ['/api/.*', { upstreamPath: '//evil' }, /is not canonical: write \/evil$/],
    ['/api/.*', { upstreamPath: '/%zz' }, /is not a canonical path/],
    [
      '/api/.*',
      { stripPath: '/other' },
      /^error strip-path .*no path of the rule \(such as \/api\/\) begins with/,
    ],
    ['/apis/.*', { stripPath: '/api' }, /^error strip-path/],
    ['/.*', { stripPath: '/api' }, /^warning strip-path .*gets 400/],
    ['/api/.*', { enforcement: 'observe' }, /^warning observe-only/],
    ['/api/.*', { stripPaths: '/api' }, /^error unknown-field/],
  ] as const) {
    const found = findings(path, scopegate);
    t.equal(found.length, 1, `${JSON.stringify(scopegate)} ${JSON.stringify(found)}`);
    t.match(found[0], expected);
  }
  t.same(findings('/api(/.*)?', { stripPath: '/api', upstreamPath: '/b' }), []);
  t.end();
});
