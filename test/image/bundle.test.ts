import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { digest } from '../../src/document/compile.js';
import { Recorder } from '../commands/io.js';
import { root } from '../root.js';
import { filesOf } from './kustomize.js';

// What is published is made of what the compiler made; here it is made once more, beside it.

const place = join(root, 'build', `bundle-${process.pid}`);
const program = join(place, 'cli.js');
mkdirSync(place);
t.teardown(() => rmSync(place, { recursive: true, force: true }));

/** Without the hooks that the test runner puts into every Node process it starts: they would be among what is loaded. */
const bare = (args: readonly string[]) => ['--unset=NODE_OPTIONS', process.execPath, ...args];
const run = (args: readonly string[]) =>
  spawnSync('/usr/bin/env', bare(args), { cwd: root, encoding: 'utf8' });

t.test('the bundle is made', (t) => {
  const { status, stderr } = run([join(root, '.ci/bundle.js'), join(root, 'build/src'), place]);
  t.same([status, stderr], [0, '']);
  t.end();
});

t.test('what is not inside it is among the dependencies', (t) => {
  const { dependencies, bundleDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as { dependencies: Record<string, string>; bundleDependencies: string[] };
  const nodes = new Set(builtinModules);
  const outside = new Set<string>();
  for (const file of filesOf(place).filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(file, 'utf8');
    for (const [, name = ''] of text.matchAll(
      /^(?:import|export) .*?from ["']([^."'][^"']*)["']|^import ["']([^."'][^"']*)["']/gm,
    ))
      outside.add(name);
    for (const [, name = ''] of text.matchAll(/(?:\bimport|\blazyRequire)\(["']([^."'][^"']*)["']\)/g))
      outside.add(name);
  }
  const packages = [...outside]
    .filter((name) => !name.startsWith('node:') && !nodes.has(name))
    .map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    );
  t.ok(packages.includes('refa') && packages.includes('@redis/client'), 'they are found');
  t.same(
    packages.filter((name) => dependencies[name] === undefined),
    [],
  );
  t.same(
    packages.filter((name) => bundleDependencies.includes(name) && name !== 'ajv'),
    [],
    'what is inside is not taken from outside as well',
  );
  t.end();
});

t.test('serving the tutorial’s rules reads no other package', async (t) => {
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
  for (const file of [settings, rules]) {
    const bundled = run([program, 'check', '--config', file]);
    const plain = new Recorder();
    t.equal(await main(['check', '--config', file], plain), 1);
    t.match(plain.stdout, /error (unknown-field|wrong-type)/);
    t.same([bundled.status, bundled.stdout], [1, plain.stdout]);
  }
  t.equal(run([program, 'schema']).stdout, readFileSync(join(root, 'config/settings.schema.json'), 'utf8'));
});

t.test('a schema that differs in anything is another one', (t) => {
  t.not(digest({ type: 'object', minProperties: 1 }), digest({ type: 'object', minProperties: 2 }));
  t.end();
});
