import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { loadOptions } from '../../src/commands/load.js';
import { showProgress } from '../../src/commands/progress.js';
import { loadSettings, type Settings } from '../../src/config/settings.js';
import { toGithub } from '../../src/document/github.js';
import { toJunit } from '../../src/document/junit.js';
import { loadRules } from '../../src/rules/load.js';
import { tutorialManifests } from '../rules/tutorial.js';
import { makeCertificate } from '../stack/certificate.js';
import { Recorder } from './io.js';
import { MISTYPED } from './mistyped.js';

const SETTINGS = 'rules: [ rules ]\nintrospection: { url: "http://hydra:4445/admin/oauth2/introspect" }\n';

async function check(
  folder: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
) {
  const io = new Recorder(environment);
  const code = await main(['check', '--config', join(folder, 'settings.yaml'), ...args], io);
  const lines = io.stdout.replaceAll(`${folder}/`, '').split('\n').slice(0, -1);
  return { code, lines, stderr: io.stderr };
}

function rule(rules: string): string {
  return `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: demo
spec:
  gateway: kyma-system/kyma-gateway
  host: demo.kyma.local
  service: { name: demo, port: 80 }
  rules:
${rules}`;
}

t.test('the tutorial is clean', async (t) => {
  const [a, b] = tutorialManifests();
  const folder = t.testdir({ 'settings.yaml': SETTINGS, rules: { 'httpbin.yaml': a, 'function.yaml': b } });
  const { code, lines, stderr } = await check(folder);
  t.equal(code, 0);
  t.same(lines, []);
  t.equal(stderr, 'check: 3 rules, no findings\n');
});

t.test('each mistake is one line with its file, line and column, in order', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: {
      'typo.yaml': rule(
        '    - path: /a\n      methods: [GET]\n      acessStrategies:\n        - handler: no_auth\n',
      ),
      'type.yaml': rule(
        '    - path: /b\n      methods: GET\n      accessStrategies:\n        - handler: no_auth\n',
      ),
      'twice.yaml': rule(
        '    - path: /c\n      methods: [GET]\n      methods: [PUT]\n      accessStrategies:\n        - handler: no_auth\n',
      ),
      'handler.yaml': rule(
        '    - path: /d\n      methods: [GET]\n      accessStrategies:\n        - handler: oauth2_introspecton\n',
      ),
      'regex.yaml': rule(
        '    - path: /e[\n      methods: [GET]\n      accessStrategies:\n        - handler: no_auth\n',
      ),
      'same.yaml': rule(
        '    - path: /f\n      methods: [GET]\n      accessStrategies:\n        - handler: no_auth\n    - path: /f\n      methods: [PUT, GET]\n      accessStrategies:\n        - handler: anonymous\n',
      ),
    },
  });
  const { code, lines, stderr } = await check(folder);
  t.equal(code, 1);
  t.equal(lines.length, 6, lines.join('\n'));
  t.match(
    lines[0],
    /^rules\/handler\.yaml:13:20 error unknown-handler .*did you mean "oauth2_introspection"\?$/,
  );
  t.match(lines[1], /^rules\/regex\.yaml:10:13 error bad-pattern /);
  t.match(lines[2], /^rules\/same\.yaml:14:7 error duplicate-rule .*same\.yaml:10:7/);
  t.match(lines[3], /^rules\/twice\.yaml:12:7 error duplicate-key /);
  t.match(
    lines[4],
    /^rules\/type\.yaml:11:16 error wrong-type .*must be an array \(write \[GET\]\), not a string$/,
  );
  t.match(lines[5], /^rules\/typo\.yaml:12:7 error unknown-field .*did you mean "accessStrategies"\?$/);
  t.equal(stderr, 'check: 6 errors\n');
});

t.test('mistakes in the settings are found the same way', async (t) => {
  const folder = t.testdir({ 'settings.yaml': `${SETTINGS}matching: { overlap: maybe }\nlog: 5\n` });
  const { code, lines } = await check(folder);
  t.equal(code, 1);
  t.match(
    lines[0],
    /^settings\.yaml:3:22 error invalid-value matching\.overlap must be one of "error", "specific"$/,
  );
  t.match(lines[1], /^settings\.yaml:4:6 error wrong-type log must be an object, not a number$/);
});

t.test('mistakes in the environment have the position of their variable', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: { 'a.yaml': tutorialManifests()[0] },
  });
  const { code, lines } = await check(folder, [], { SCOPEGATE_LISTEN_PROXY_PORT: 'http' });
  t.equal(code, 1);
  t.same(lines, [
    'env:SCOPEGATE_LISTEN_PROXY_PORT:1:1 error wrong-type listen.proxy.port must be an integer, not a string',
  ]);
});

t.test('a certificate that ends within a week is a warning at its setting', async (t) => {
  const day = 24 * 60 * 60 * 1000;
  // They are valid for thirty days.
  const soon = await makeCertificate(['gate.example'], Date.now() - 26 * day - day / 2);
  const later = await makeCertificate(['gate.example'], Date.now());
  const over = await makeCertificate(['other.example'], Date.now() - 60 * day);
  const tls = (name: string) => `cert: ${name}.crt, key: ${name}.key`;
  const folder = t.testdir({
    'settings.yaml': `${SETTINGS}listen:
  proxy:
    tls: { ${tls('soon')} }
  admin:
    tls: { ${tls('later')}, certificates: [ { ${tls('over')} } ] }
`,
    rules: {
      'demo.yaml': rule('    - { path: /a, methods: [GET], accessStrategies: [{ handler: allow }] }\n'),
    },
    ...Object.fromEntries(
      Object.entries({ soon, later, over }).flatMap(([name, { cert, key }]) => [
        [`${name}.crt`, cert],
        [`${name}.key`, key],
      ]),
    ),
  });
  const { code, lines } = await check(folder);
  t.equal(code, 0);
  t.match(
    lines.filter((line) => line.includes('certificate')),
    [
      /^settings\.yaml:5:\d+ warning certificate-expires listen\.proxy\.tls: the certificate expires within 4 days \(20/,
      /^settings\.yaml:7:\d+ warning certificate-expires listen\.admin\.tls: the certificate has expired \(20/,
    ],
  );
  t.equal((await check(folder, ['--strict'])).code, 1);
});

t.test('warnings fail the check with --strict alone', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: { 'a.yaml': `${tutorialManifests()[0]}---\nkind: Riddle\n` },
  });
  const lenient = await check(folder);
  t.equal(lenient.code, 0);
  t.match(lenient.lines[0], /^rules\/a\.yaml:\d+:7 warning ignored-document /);
  t.match(lenient.stderr, /1 warning$/m);
  t.equal((await check(folder, ['--strict'])).code, 1);
});

t.test('hostile content stays on its line and out of the terminal', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: {
      'a.yaml': rule(
        '    - "pa\\nth\\e[31m": /a\n      methods: [GET]\n      accessStrategies: [{ handler: "x\\r\\ny" }]\n',
      ),
    },
  });
  const { lines } = await check(folder);
  t.ok(lines.length > 0);
  for (const line of lines) t.match(line, /^rules\/a\.yaml:\d+:\d+ error [a-z-]+ [^\u0000-\u001f\u007f]+$/);
});

const FORMATTED = 'rules: [ rules ]\nintrospection: { url: "http://hydra:4445/x" }\n';

t.test('check prints the same findings in every format', async (t) => {
  const folder = t.testdir({ 'settings.yaml': FORMATTED, rules: { 'a.yaml': MISTYPED } });
  const check = async (format?: string): Promise<{ code: number; out: string }> => {
    const io = new Recorder();
    const args = format === undefined ? [] : ['--format', format];
    const code = await main(['check', '--config', join(folder, 'settings.yaml'), ...args], io);
    return { code, out: io.stdout.replaceAll(folder, '.') };
  };
  const lines = await check();
  t.equal(lines.code, 1);
  const [first = ''] = lines.out.split('\n');
  t.match(first, /^\.\/rules\/a\.yaml:10:7 error unknown-field .*"metods".*"methods"/);

  const text = await check('text');
  t.equal(text.out.split('\n')[0], first);
  t.equal(text.out.split('\n')[1], '  10 |       metods: [GET]');
  t.equal(text.out.split('\n')[2], '             ^');

  const json = JSON.parse((await check('json')).out) as object[];
  t.match(json[0], { file: './rules/a.yaml', line: 10, col: 7, level: 'error', code: 'unknown-field' });
  t.equal(json.length, lines.out.trimEnd().split('\n').length);

  const sarif = JSON.parse((await check('sarif')).out);
  t.match(sarif, {
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'scopegate' } },
        results: [
          {
            ruleId: 'unknown-field',
            level: 'error',
            locations: [{ physicalLocation: { region: { startLine: 10, startColumn: 7 } } }],
          },
        ],
      },
    ],
  });
  const github = await check('github');
  t.match(github.out, /^::error file=\.\/rules\/a\.yaml,line=10,col=7,title=unknown-field::.*"metods"/);
  t.equal(github.out.split('\n').length, lines.out.split('\n').length);

  const junit = await check('junit');
  t.match(junit.out, /<testsuite name="scopegate check" tests="(\d+)" failures="\1">/);
  t.match(
    junit.out,
    /<testcase name="\.\/rules\/a\.yaml:10:7 error unknown-field" classname="\.\/rules\/a\.yaml"><failure message=".*&quot;metods&quot;/,
  );
  t.equal((await check('xml')).code, 2);
});

t.test(
  'a JUnit report without findings has one test that passed: an empty report looks like a broken run',
  async (t) => {
    const [manifest] = tutorialManifests();
    const folder = t.testdir({ 'settings.yaml': SETTINGS, rules: { 'httpbin.yaml': manifest } });
    const { code, lines } = await check(folder, ['--format', 'junit']);
    t.equal(code, 0);
    t.match(lines.join('\n'), /tests="1" failures="0"/);
  },
);

t.test('an excerpt repeats no line that may hold a secret', async (t) => {
  const settings = `${FORMATTED.replace(' }', ',')} clientAuth: { method: basic, clientSecret: hunter2, clientSecretFile: x } }\n`;
  const folder = t.testdir({
    'settings.yaml': settings.replace('\n clientAuth', ' clientAuth'),
    rules: { 'a.yaml': MISTYPED },
  });
  const io = new Recorder();
  t.equal(await main(['check', '--config', join(folder, 'settings.yaml'), '--format', 'text'], io), 1);
  t.match(io.stdout, /clientAuth/);
  t.notMatch(io.stdout, /hunter2/);

  const address = FORMATTED.replace(/http:\/\//, 'http://user:hunter2@');
  const other = t.testdir({ 'settings.yaml': address, rules: { 'a.yaml': MISTYPED } });
  const told = new Recorder();
  t.equal(await main(['check', '--config', join(other, 'settings.yaml'), '--format', 'text'], told), 1);
  t.match(told.stdout, /must not contain credentials/);
  t.notMatch(told.stdout, /hunter2/, 'an address with a password in it');
});

t.test('a clean set is an empty list', async (t) => {
  const folder = t.testdir({
    'settings.yaml': FORMATTED,
    rules: { 'a.yaml': MISTYPED.replace('metods', 'methods') },
  });
  const io = new Recorder();
  t.equal(await main(['check', '--config', join(folder, 'settings.yaml'), '--format', 'json'], io), 0);
  t.same(JSON.parse(io.stdout), []);
});

/** A terminal, as far as the progress goes. */
class Terminal extends Recorder {
  readonly terminal = true;
}

t.test(
  'progress is shown at a terminal alone, after a second, ten times a second, and not left there',
  (t) => {
    let time = 5_000;
    const io = new Terminal();
    const progress = showProgress(io, 'check', () => time);
    const shown = () => {
      const text = io.stderr;
      io.stderr = '';
      return text;
    };
    time += 999;
    progress.step('reading files', 1, 9);
    t.equal(shown(), '', 'whoever waits for less is shown nothing');
    time += 1;
    progress.step('reading files', 2, 9);
    t.equal(shown(), '\r\u001b[Kcheck: reading files, 2 of 9');
    time += 99;
    progress.step('reading files', 3, 9);
    t.equal(shown(), '');
    time += 1;
    progress.step('x'.repeat(200), 4, 9);
    t.equal(shown().length, 4 + 78, 'in one line');
    progress.clear();
    t.equal(shown(), '\r\u001b[K', 'it makes room');
    progress.step('reading files', 5, 9);
    t.match(shown(), '5 of 9', 'and comes back');
    progress.end();
    t.equal(shown(), '\r\u001b[K');
    progress.end();
    t.equal(shown(), '');

    const pipe = new Recorder();
    const silent = showProgress(pipe, 'check', () => (time += 5_000));
    silent.step('reading files', 1, 2);
    silent.clear();
    silent.end();
    t.equal(pipe.stderr, '');
    t.end();
  },
);

t.test('progress tells of every file, APIRule and rule', async (t) => {
  const rules = Object.fromEntries(
    ['a', 'b', 'c'].map((name) => [
      `${name}.yaml`,
      rule(
        ['/x', '/y']
          .map((path) => `    - { path: ${path}, methods: [GET], accessStrategies: [{ handler: allow }] }\n`)
          .join(''),
      )
        .replace('name: demo', `name: ${name}`)
        .replace('host: demo', `host: ${name}`),
    ]),
  );
  const folder = t.testdir({ rules, 'settings.yaml': SETTINGS });
  const { settings } = loadSettings(join(folder, 'settings.yaml'), {});
  const told: string[] = [];
  const { table } = loadRules(settings?.rules ?? [], loadOptions(settings as Settings, 1), (what, done, of) =>
    told.push(`${what} ${done}/${of}`),
  );
  t.equal(table?.rules.length, 6);
  t.same(told, [
    ...[1, 2, 3].flatMap((i) => [
      `reading files ${i}/3`,
      'compiling rules 1/2',
      'compiling rules 2/2',
      `reading files ${i}/3`,
    ]),
    ...[1, 2, 3, 4, 5, 6].map((i) => `comparing rules ${i}/6`),
  ]);
  const io = new Terminal();
  t.equal(await main(['check', '--config', join(folder, 'settings.yaml')], io), 0);
  t.match(io.stderr, /^check: 6 rules, /, 'what is done at once shows none');
});

t.test('reports hold what a file says as text, whatever it says', (t) => {
  const hostile = 'a\r\n::error::b %0A <x a="&"> \u0000\u001b \ud800 😀';
  const finding = { file: 'a:b,c', line: 1, col: 2, level: 'warning', code: 'x', message: hostile } as const;
  t.equal(
    toGithub([finding]),
    '::warning file=a%3Ab%2Cc,line=1,col=2,title=x::a%0D%0A::error::b %250A <x a="&">    \ud800 😀\n',
  );
  const junit = toJunit('s', [
    { name: hostile, of: 'f', failure: hostile },
    { name: 'good', of: 'f' },
  ]);
  t.match(junit, /tests="2" failures="1"/);
  t.notMatch(junit, /[\u0000-\u0009\u000b-\u001f]|\p{Surrogate}/u, 'what XML cannot say is shown');
  t.match(junit, 'b %0A &lt;x a=&quot;&amp;&quot;&gt; \\u0000\\u001b \\ud800 😀');
  t.equal(junit.split('\n').length, 8, 'one line a case');
  t.end();
});
