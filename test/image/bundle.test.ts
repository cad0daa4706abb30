import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { digest } from '../../src/document/compile.js';
import { FLOORS, reaches } from '../proxy/floors.js';
import { root } from '../root.js';
import { filesOf } from './files.js';
import { readSbom } from './sbom.js';

// What is published is made of what the compiler made; here it is made once more, where no node_modules is near.

const folder = mkdtempSync(join(tmpdir(), 'scopegate-bundle-'));
const place = join(folder, 'dist');
const program = join(place, 'cli.js');
cpSync(join(root, 'package.json'), join(folder, 'package.json'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies: Record<string, string>;
};

/** Without the hooks that the test runner puts into every Node process it starts: they would be among what is loaded. */
const bare = (args: readonly string[]) => ['--unset=NODE_OPTIONS', process.execPath, ...args];
const run = (args: readonly string[]) =>
  spawnSync('/usr/bin/env', bare(args), { cwd: root, encoding: 'utf8' });

t.test('the bundle is made', (t) => {
  const { status, stderr } = run([join(root, '.ci/bundle.js'), join(root, 'build/src'), place]);
  t.same([status, stderr], [0, '']);
  t.end();
});

/** The packages that the compiled program imports. */
function imported(): string[] {
  const names = new Set<string>();
  for (const path of filesOf(join(root, 'build/src')).filter((name) => name.endsWith('.js'))) {
    for (const [, from = ''] of readFileSync(path, 'utf8').matchAll(
      /(?:from|import|import\(|require\(|lazyRequire\()\s*"([^".][^"]*)"/g,
    )) {
      const name = /^(?:@[a-z0-9-]+\/)?[a-z0-9-]+/.exec(from)?.[0];
      if (name !== undefined && !isBuiltin(from)) names.add(name);
    }
  }
  return [...names].sort();
}

t.test('every package that the program imports is inside, and on the list of parts', (t) => {
  t.equal(manifest.dependencies, undefined, 'nothing is installed beside it');
  const { bomFormat, subject, parts } = readSbom(place);
  t.equal(bomFormat, 'CycloneDX');
  t.match(subject, { name: 'scopegate', version: manifest.version });
  const packages = imported();
  t.ok(
    packages.includes('refa') && packages.includes('@redis/client') && packages.length > 15,
    `${packages}`,
  );
  for (const name of packages) {
    t.ok(manifest.devDependencies[name], `package.json asks for ${name} itself`);
    const { version } = JSON.parse(
      readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'),
    ) as { version: string };
    const part = parts.find((each) => each.name === name && each.version === version);
    t.ok(part, `${name} ${version}`);
    t.match(part?.purl, `pkg:npm/${name.replace('@', '%40')}@${version}`);
  }
  for (const name of ['typescript', 'tap', 'esbuild', 'light-my-request', 'recheck-jar'])
    t.notOk(
      parts.some((part) => part.name === name),
      `${name} is not`,
    );
  t.end();
});

t.test('each part has its licence', (t) => {
  const text = readFileSync(join(place, 'third-party-licenses.txt'), 'utf8');
  const sections = text.split(`\n${'='.repeat(80)}\n`).slice(1);
  const { parts } = readSbom(place);
  t.same(
    sections.map((section) => section.slice(0, section.indexOf(' ('))),
    parts.map(({ name, version }) => `${name} ${version}`),
  );
  const withText = sections.filter(
    (section) => /permission|licen[cs]e/i.test(section) && section.length > 500,
  );
  t.ok(withText.length >= parts.length - 3, 'its text, but for those whose package has none');
  t.match(
    sections.find((section) => section.startsWith('fastify ')),
    'The above copyright notice',
  );
  t.end();
});

t.test('serving the tutorial’s rules reads nothing but what it needs', async (t) => {
  const list = join(place, 'loaded');
  // What is imported goes through the hook, what is required is in the cache.
  const hook = `import { appendFileSync } from 'node:fs';
export async function load(url, context, next) { appendFileSync(${JSON.stringify(list)}, url + '\\n'); return next(url, context); }`;
  const spy = `import { register } from 'node:module'; import { writeFileSync } from 'node:fs'; import Module from 'node:module';
register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
process.on('exit', () => writeFileSync(${JSON.stringify(`${list}.cache`)}, Object.keys(Module._cache).join('\\n')));`;
  const child = spawn(
    '/usr/bin/env',
    bare([
      '--import',
      `data:text/javascript,${encodeURIComponent(spy)}`,
      program,
      'serve',
      '--config',
      join(root, 'config/folder.yaml'),
    ]),
    {
      env: { PATH: process.env.PATH, SCOPEGATE_LISTEN_PROXY_PORT: '0', SCOPEGATE_LISTEN_ADMIN_PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [unknown];
  const { admin } = JSON.parse(String(line)) as { admin: string };
  t.equal((await fetch(`${admin}/health/ready`)).status, 200);
  t.equal((await fetch(`${admin}/metrics`)).status, 200);
  child.kill('SIGTERM');
  t.same(await ended, [0, null]);
  const loaded = [
    ...readFileSync(list, 'utf8').split('\n'),
    ...readFileSync(`${list}.cache`, 'utf8').split('\n'),
  ].filter((name) => name !== '' && !name.startsWith('node:') && !name.startsWith('data:'));
  t.ok(
    loaded.some((name) => name.endsWith('/cli.js')),
    'the list is one',
  );
  t.same(
    loaded.filter((name) => !name.includes(place)),
    [],
  );
  t.same(
    loaded.filter((name) => name.endsWith('.cjs')),
    [],
    'no package that only some rule sets need',
  );
  t.ok(loaded.length < filesOf(place).length / 2, `${loaded.length} files`);
});

t.test('what only some rules need is there when they come', (t) => {
  const settings = join(folder, 'some.yaml');
  writeFileSync(
    settings,
    'rules: [ ./some.rule.yaml ]\nintrospection: { url: http://127.0.0.1:1/introspect }\n',
  );
  const claims = '{ type: object, properties: { tenant: { type: word } } }';
  writeFileSync(
    join(folder, 'some.rule.yaml'),
    `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: a }
spec:
  gateway: a/b
  host: a.example
  service: { name: a, port: 80 }
  rules:
    - { path: '/(a|b|ab)*c', methods: [GET], accessStrategies: [{ handler: no_auth }] }
    - { path: '/x/[a-c]+', methods: [GET], accessStrategies: [{ handler: no_auth }] }
    - { path: '/x/(b|q)', methods: [GET], accessStrategies: [{ handler: no_auth }] }
    - { path: /y, methods: [GET], accessStrategies: [{ handler: oauth2_introspection, config: { claims: ${claims} } }] }
`,
  );
  const check = () => run([program, 'check', '--config', settings]);
  const codes = check()
    .stdout.trim()
    .split('\n')
    .map((line) => line.split(' ')[2]);
  t.same(codes, ['pattern-backtracking', 'overlap', 'invalid-value'], 'recheck, refa, ajv');

  rmSync(join(place, 'recheck.cjs'));
  t.match(
    check().stdout,
    /error pattern-backtracking .* scopegate cannot prove that it matches in linear time \(the package "recheck" is missing: .*\)/,
    'a pattern that cannot be analysed is refused',
  );
  rmSync(join(place, 'refa.cjs'));
  t.match(check(), {
    status: 1,
    stdout: '',
    stderr:
      /^scopegate: the package "refa" is missing: install scopegate again, or run "npm ci" in a checkout\n$/,
  });
  t.end();
});

t.test('what documents are held against says the same, compiled beforehand or not', async (t) => {
  const settings = join(place, 'broken.yaml');
  writeFileSync(
    settings,
    'listen: { proxi: 1 }\nrules: [ ./broken.rule.yaml ]\nintrospection: { url: 7, timeout: soon }\n',
  );
  const rules = join(place, 'rules.yaml');
  writeFileSync(
    rules,
    'rules: [ ./broken.rule.yaml ]\nintrospection: { url: http://127.0.0.1:1/introspect }\n',
  );
  writeFileSync(
    join(place, 'broken.rule.yaml'),
    `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: a }
spec:
  host: a.example
  service: { name: a, port: none }
  rules:
    - path: /.*
      method: [GET]
      accessStrategies:
        - handler: oauth2_introspection
          config: { required_scopes: [read], leeway: long }
        - handler: jwt
      mutators:
        - handler: header
          config: { headers: 1 }
`,
  );
  // `npm test` puts compiled schemas into build/src; here they are compiled when they are used.
  const uncompiled = join(root, 'build/uncompiled');
  t.teardown(() => rmSync(uncompiled, { recursive: true, force: true }));
  cpSync(join(root, 'build/src'), uncompiled, { recursive: true });
  writeFileSync(join(uncompiled, 'document/precompiled.js'), 'export const precompiled = new Map();\n');
  for (const file of [settings, rules]) {
    const bundled = run([program, 'check', '--config', file]);
    const plain = run([join(uncompiled, 'cli.js'), 'check', '--config', file]);
    t.equal(plain.status, 1);
    t.match(plain.stdout, /error (unknown-field|wrong-type)/);
    t.same([bundled.status, bundled.stdout], [1, plain.stdout]);
  }
  t.equal(run([program, 'schema']).stdout, readFileSync(join(root, 'config/settings.schema.json'), 'utf8'));
});

t.test('a schema that differs in anything is another one', (t) => {
  t.not(digest({ type: 'object', minProperties: 1 }), digest({ type: 'object', minProperties: 2 }));
  t.end();
});

t.test('no copy of a library that is inside has a hole that is known', (t) => {
  const { parts } = readSbom(place);
  for (const name of ['fastify', 'undici'])
    t.ok(
      parts.some((part) => part.name === name),
      name,
    );
  for (const [name, floor] of Object.entries(FLOORS)) {
    const copies = parts.filter((part) => part.name === name);
    for (const { version } of copies) t.ok(reaches(version, floor), `${name} ${version} >= ${floor}`);
  }
  t.end();
});

t.test('the lockfile names no host', (t) => {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  t.notMatch(
    text,
    /"resolved"|https?:\/\/[^"]*\.tgz/,
    'what is installed comes from the registry that is configured',
  );
  t.match(readFileSync(join(root, '.npmrc'), 'utf8'), /^omit-lockfile-registry-resolved=true$/m);
  t.end();
});
