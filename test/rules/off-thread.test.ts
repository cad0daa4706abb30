import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { rulesJson } from '../../src/admin/overview.js';
import { byPosition } from '../../src/document/finding.js';
import type { RuleTable } from '../../src/model/rule.js';
import { type Analysed, analyseRules } from '../../src/rules/analyse.js';
import { LoadBudget } from '../../src/rules/budget.js';
import { explain, explanationJson } from '../../src/rules/explain.js';
import { readUnchanged } from '../../src/rules/files.js';
import { type LoadOptions, loadRules } from '../../src/rules/load.js';
import { heapLimit, loadOffThread } from '../../src/rules/off-thread.js';
import { lowerPriority } from '../../src/rules/priority.js';
import { apiRule, rule, VECTOR_RULES } from '../gateway.js';
import { vectors } from '../vectors.js';
import { HOSTILE, manyRules } from './large-sets.js';
import { options } from './options.js';
import { tutorialManifests } from './tutorial.js';

/** What a table says about a request, with a token of each of some scopes and without one. */
function decisions(table: RuleTable, method: string, url: string): unknown[] {
  return [undefined, [], ['read'], ['write'], ['admin']].map((scopes) => {
    const question = scopes === undefined ? { method, url } : { method, url, token: { scopes } };
    return explanationJson(method, url, explain(table, question));
  });
}

const v2 = JSON.stringify({
  apiVersion: 'gateway.kyma-project.io/v2',
  kind: 'APIRule',
  metadata: { name: 'later', namespace: 'shop' },
  spec: {
    hosts: ['later.example', 'later.example.org'],
    gateway: 'a/b',
    service: { name: 'shop', port: 8080 },
    corsPolicy: {
      allowOrigins: [{ exact: 'https://a.example' }, { regex: 'https://[a-z]+\\.b\\.example' }],
    },
    rules: [
      { path: '/open/{*}', methods: ['GET'], noAuth: true },
      {
        path: '/in/{**}',
        methods: ['GET', 'POST'],
        jwt: { authentications: [{ issuer: 'https://as.example', jwksUri: 'https://as.example/jwks' }] },
        request: { headers: { 'X-A': 'b' } },
      },
    ],
  },
});
const strategy = (handler: string, config: object, more: object = {}) => ({
  methods: ['GET'],
  accessStrategies: [{ handler, config }],
  ...more,
});

/** Rules with everything that a rule can have, by the name of the set. */
function sets(t: Test): Record<string, { text: string; more?: Partial<LoadOptions> }> {
  const file = join(t.testdir(), 'keys.json');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file, JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }));
  const key = pathToFileURL(file).href;
  return {
    'the tutorial': { text: tutorialManifests().join('\n---\n') },
    'the vectors': { text: VECTOR_RULES, more: { overlap: 'specific' } },
    '60 rules': { text: manyRules(60) },
    'another version': { text: v2 },
    'rules inside rules, on hosts inside hosts': {
      text: [
        apiRule('*.example.com', [rule('/.*', ['GET'], 'read'), rule('/a/.*', ['GET'], 'write')], 'wide'),
        apiRule('x.example.com', [rule('/a/b', ['GET'], 'admin'), rule('/.*', ['POST'], 'read')], 'narrow'),
      ].join('\n---\n'),
      more: { overlap: 'specific' },
    },
    'rules that nobody can tell apart': {
      text: apiRule('x.example.com', [
        rule('/(?!a).*', ['GET'], 'read', { scopegate: { undecidedPattern: 'accept' } }),
        rule('/b(?!c).*', ['GET'], 'write', { scopegate: { undecidedPattern: 'accept' } }),
        rule('/a/c', ['GET'], 'admin'),
      ]),
      more: { overlap: 'specific' },
    },
    'all strategies and mutators': {
      text: apiRule('gate.example', [
        { path: '/allow', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
        { path: '/noop', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
        {
          path: '/claims',
          ...strategy('oauth2_introspection', {
            required_scope: ['read'],
            claims: { properties: { acr: { enum: ['1', '2'] } }, required: ['acr'] },
            introspection_url: 'https://other.example/introspect',
            token_sources: [{ cookie: 'session' }, { header: 'authorization' }],
          }),
        },
        {
          path: '/stale/[0-9]{1,40}',
          ...strategy('oauth2_introspection', {}, { scopegate: { staleIfError: '5m', semicolon: 'keep' } }),
        },
        { path: '/jwt', ...strategy('jwt', { jwks_urls: ['https://as.example/jwks'] }) },
        { path: '/cookie', ...strategy('cookie_session', { check_session_url: 'http://store.invalid/' }) },
        {
          path: '/mutated',
          ...strategy('oauth2_introspection', {}),
          mutators: [
            { handler: 'header', config: { headers: { 'X-User': '{{ print .Subject }}' } } },
            { handler: 'cookie', config: { cookies: { user: '{{ print .Subject }}' } } },
            { handler: 'id_token', config: { issuer_url: 'https://gate.example', jwks_url: key } },
          ],
        },
      ]),
    },
    'a published resource': {
      text: VECTOR_RULES,
      more: {
        overlap: 'specific',
        resources: [
          {
            resource: 'https://gate.example/admin',
            authorizationServers: ['https://as.example'],
            source: 'settings.yaml:1:1',
          },
        ],
      },
    },
  };
}

t.test('a set that is loaded on another thread decides as one that is loaded here', async (t) => {
  const { cases, authority } = vectors('paths') as {
    cases: { method: string; target_b64: string }[];
    authority: string;
  };
  const paths = [
    '/',
    '/a/b',
    '/a/c',
    '/b',
    '/c',
    '/bc',
    '/allow',
    '/claims',
    '/mutated',
    '/stale/123',
    '/admin',
  ];
  for (const [name, { text, more = {} }] of Object.entries(sets(t))) {
    const file = join(t.testdirName, 'rules.yaml');
    writeFileSync(file, text);
    const own = { ...options, ...more, version: 7 };
    const here = loadRules([file], own);
    const there = await loadOffThread([file], own);
    if (here.table === undefined || there.table === undefined) throw new Error(JSON.stringify(here.findings));
    const [one, other] = [here.table, there.table];
    t.same(there.findings, here.findings, `${name}: the same findings`);
    t.equal(there.digest, here.digest);
    t.same(
      rulesJson(other, own.overlap, undefined),
      rulesJson(one, own.overlap, undefined),
      `${name}: /rules`,
    );
    t.same(other.reservedHeaders, one.reservedHeaders);
    t.same(
      other.rules.map(({ mutators, cors, pattern, document }) => [
        mutators?.writes,
        cors?.exposed,
        pattern,
        document,
      ]),
      one.rules.map(({ mutators, cors, pattern, document }) => [
        mutators?.writes,
        cors?.exposed,
        pattern,
        document,
      ]),
    );
    const hosts = [...new Set(one.rules.flatMap((each) => each.hosts))].map((host) => host.replace('*', 'w'));
    const urls = [
      ...cases.map(({ target_b64 }) => authority + Buffer.from(target_b64, 'base64').toString('latin1')),
      ...hosts.flatMap((host) => [
        ...paths.map((path) => host + path),
        ...one.rules.slice(0, 10).map(({ path }) => host + path.replace(/[^a-z0-9/-].*/, '1')),
      ]),
    ];
    let asked = 0;
    for (const url of urls) {
      for (const method of ['GET', 'POST']) {
        const [mine, others] = [one, other].map((table) =>
          attempt(() => decisions(table, method, `https://${url}`)),
        );
        if (JSON.stringify(mine) !== JSON.stringify(others))
          t.same(others, mine, `${name}: ${method} ${url}`);
        asked++;
      }
    }
    t.pass(`${name}: ${one.rules.length} rules, ${asked} requests`);
  }
});

/** What came of it, a thrown RangeError included: not every vector is the URL of a question. */
function attempt(ask: () => unknown): unknown {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return error.message;
  }
}

t.test('policies of other origins are the same, made there or here', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, v2);
  const here = loadRules([file], options).table?.rules[0]?.cors;
  const there = (await loadOffThread([file], options)).table?.rules[0]?.cors;
  fc.assert(
    fc.property(fc.stringMatching(/^https:\/\/[ab]{1,2}(\.[ab])?\.example$/), (origin) => {
      return here !== undefined && here.allowsOrigin(origin) === there?.allowsOrigin(origin);
    }),
  );
  t.equal(there?.allowsOrigin('https://x.b.example'), true);
  t.end();
});

t.test('secrets and functions of the settings stay here', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, apiRule('a.example', [rule('/', ['GET'], 'read')]));
  const { endpoint } = options.handlers;
  const secret = { ...endpoint, auth: { method: 'bearer', token: () => 'a secret' } as const };
  const own = { ...options, handlers: { ...options.handlers, endpoint: secret, servers: [secret] } };
  const { table, findings } = await loadOffThread([file], own);
  t.same([findings, table?.rules.length], [[], 1]);
});

t.test('what is wrong is found in the same places', async (t) => {
  const folder = t.testdir({
    'a.yaml': apiRule('a.example', [rule('/(a+)+', ['GET'], 'read'), rule('/b', ['GTE'], 'read')]),
    'b.yaml': '{ kind: APIRule, ',
    'c.yaml': apiRule('c.example', [rule('/c/.*', ['GET'], 'read'), rule('/c/d', ['GET'], 'read')], 'c'),
    'd.yaml': 'a: 1\na: 2\n',
  });
  const here = loadRules([folder], options);
  const there = await loadOffThread([folder], options);
  t.same(there, here);
  t.same([...new Set(here.findings.map(({ code }) => code))].sort(), [
    'duplicate-key',
    'invalid-method',
    'overlap',
    'pattern-backtracking',
    'yaml-syntax',
  ]);
});

const QUICK = /mapping of 200,000 anchors|of aliases|text of|brackets|levels|a rule of/;

t.test('a file that takes more than its size says is refused with its place, and soon', async (t) => {
  const file = join(t.testdir(), 'hostile.yaml');
  for (const [name, make] of Object.entries(HOSTILE)) {
    // `bystander.slow.ts` has all of them.
    if (!QUICK.test(name)) continue;
    writeFileSync(file, make());
    const { table, findings, fault } = await loadOffThread([file], options);
    t.same([table, fault], [undefined, undefined], name);
    const [first] = findings.filter(({ level }) => level === 'error');
    t.match(first, { file, code: /^(load-limit|yaml-limit|rule-too-large|missing-field|wrong-type)$/ }, name);
    t.notMatch(first?.message, /reload\.timeout/, 'a bound in steps, and not the clock');
    t.ok(findings.length <= 1_001, `${name}: ${findings.length} findings`);
    t.same(findings, findings.toSorted(byPosition));
  }
});

t.test(
  'proofs that look at too many states end, and the finding names the rule that took most',
  async (t) => {
    const file = join(t.testdir(), 'rules.yaml');
    const slow = (n: number, end: string) => rule(`/(?:[a-y]{${n}})*(?:${end}|z${end})`, ['GET'], 'read');
    writeFileSync(
      file,
      apiRule('slow.example', [slow(30, 'A'), slow(31, 'B'), slow(700, 'C'), slow(701, 'D')], 'slow'),
    );
    const own = analyse([file], options, new LoadBudget({ states: 100_000 }));
    const [finding] = own.findings;
    t.match(finding, {
      file,
      line: 1,
      code: 'load-limit',
      message: /more than 100000 states .*; \S*\{70[01]\}\S* \(\S+\) needs the most, \d{6}: simplify/,
    });
    t.same(analyse([file], options, new LoadBudget()).findings, [], 'with more it is accepted');
  },
);

t.test('patterns that nothing can be found out about end the analysis, after some', async (t) => {
  const budget = new LoadBudget();
  const at = { file: 'rules.yaml', line: 7, col: 3 };
  budget.begin({ what: 'compiling rules', done: 1, of: 1, name: '/x', at });
  budget.gaveUp();
  budget.gaveUp();
  t.throws(() => budget.gaveUp(), {
    at,
    message: /^3 patterns could not be analysed.* the last is of \/x: simplify/,
  });
});

/** Reads and analyses rules on this thread, with a budget of the test's own. */
function analyse(paths: readonly string[], own: LoadOptions, budget: LoadBudget): Analysed {
  const { files, findings } = readUnchanged(paths, own.limits.maxBytes);
  return analyseRules(paths, files, findings, own, budget);
}

t.test('a set that takes longer than it may is refused, and says where it was', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, manyRules(3_000));
  const { table, findings } = await loadOffThread([file], {
    ...options,
    limits: { ...options.limits, timeout: 50 },
  });
  t.equal(table, undefined);
  t.match(findings, [
    { code: 'load-limit', level: 'error', message: /longer than reload\.timeout \(0\.05 s\): it / },
  ]);
  t.equal(findings.length, 1);
});

t.test('a set that takes more memory than it may is refused, and this process goes on', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, manyRules(5_000));
  const { table, findings, fault } = await loadOffThread([file], options, { heap: 16 });
  t.same([table, fault], [undefined, undefined]);
  t.match(findings, [
    {
      file,
      code: 'load-limit',
      message: /need more than the 16 MiB of memory that loading may use: it was /,
    },
  ]);
});

t.test('files that have more bytes than they may are refused at the one where it shows', async (t) => {
  const one = apiRule('a.example', [rule('/', ['GET'], 'read')]);
  const folder = t.testdir({ 'a.yaml': one, 'b.yaml': one.replace('a.example', 'b.example') });
  const own = { ...options, limits: { ...options.limits, maxBytes: one.length * 1.5 } };
  const { table, findings } = await loadOffThread([folder], own);
  t.equal(table, undefined);
  t.match(findings[0], {
    file: join(folder, 'b.yaml'),
    code: 'load-limit',
    message: /more bytes than reload\.maxBytes/,
  });
});

t.test('a bug of the thread is a load that failed, with its trace', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, VECTOR_RULES);
  const own = { ...options, services: null as never };
  const { table, findings, fault } = await loadOffThread([file], own);
  t.equal(table, undefined);
  t.match(findings, [{ file, code: 'load-failed', level: 'error' }]);
  t.type(fault, TypeError);
});

t.test('a load that nobody wants any more ends', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, manyRules(3_000));
  const before = new AbortController();
  before.abort();
  await t.rejects(loadOffThread([file], options, { signal: before.signal }), {
    name: 'AbortError',
  });
  const meanwhile = new AbortController();
  const loading = loadOffThread([file], options, { signal: meanwhile.signal });
  setImmediate(() => meanwhile.abort());
  await t.rejects(loading, { name: 'AbortError' });
  t.notOk(process.getActiveResourcesInfo().includes('Worker'), 'the thread is gone');
});

t.test('a sandbox that forbids a lower priority does not keep rules from loading', (t) => {
  const asked: number[][] = [];
  lowerPriority((process, niceness) => {
    asked.push([process, niceness]);
    throw Object.assign(new Error('setpriority returned EPERM'), { code: 'ERR_SYSTEM_ERROR' });
  });
  t.same(asked, process.platform === 'linux' ? [[0, 10]] : [], 'it asks once, and goes on');
  t.end();
});

t.test('the memory for loading is a part of what the process may use', (t) => {
  const mib = 2 ** 20;
  t.equal(heapLimit(256 * mib, 60 * mib), 96);
  t.equal(heapLimit(512 * mib, 60 * mib), 192);
  t.equal(heapLimit(256 * mib, 180 * mib), 44, 'no more than is free');
  t.ok(heapLimit(2 ** 60, 0) <= 1_024);
  t.end();
});

t.test('where no memory is free, no thread is started, and the set is refused', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, VECTOR_RULES);
  const { table, findings } = await loadOffThread([file], options, { heap: -20 });
  t.equal(table, undefined);
  t.match(findings, [{ file, code: 'load-limit', message: /not enough memory is free/ }]);
});
