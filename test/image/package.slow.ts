import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { root } from '../root.js';
import { startUpstream } from '../upstream.js';
import { filesOf } from './kustomize.js';

// The package as npm makes it is installed where nothing else is, and does there what it does here.

interface Manifest {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly bundleDependencies: readonly string[];
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
const folder = mkdtempSync(join(tmpdir(), 'scopegate-package-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const installed = join(folder, 'node_modules/scopegate');
const program = join(folder, 'node_modules/.bin/scopegate');

function npm(t: Test, cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8', timeout: 600_000 });
  t.equal(status, 0, `npm ${args.join(' ')}`, { stderr: stderr.slice(-2_000) });
  return stdout;
}

/** Runs the installed program with nothing of this process' environment but the PATH. */
function scopegate(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { cwd: folder, encoding: 'utf8', env: { PATH: process.env.PATH } });
}

t.test('the package is packed and installed where nothing else is', { timeout: 900_000 }, async (t) => {
  const [packed] = JSON.parse(npm(t, root, 'pack', '--json', '--silent', '--pack-destination', folder)) as [
    { filename: string; files: { path: string }[] },
  ];
  t.same(
    [...new Set(packed.files.map(({ path }) => path.split('/')[0]))].sort(),
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'config', 'dist', 'docs', 'node_modules', 'package.json'],
    'nothing else is published',
  );
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  npm(
    t,
    folder,
    'install',
    `./${packed.filename}`,
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
  );
  const present = Object.keys(manifest.devDependencies).filter((name) =>
    existsSync(join(folder, 'node_modules', name)),
  );
  t.same(present, [], 'no development dependency came along');
});

t.test('what the program imports is among its dependencies', (t) => {
  const builtin = new Set(builtinModules);
  const imported = new Set<string>();
  for (const path of filesOf(join(root, 'build/src')).filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(path, 'utf8');
    for (const [, from = ''] of text.matchAll(
      /(?:from|import|import\(|require\(|lazyRequire\()\s*'([^'.][^']*)'/g,
    )) {
      const name = from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/');
      if (/^(?:@[a-z0-9-]+\/)?[a-z0-9-]+$/.test(name) && !name.startsWith('node:') && !builtin.has(name))
        imported.add(name);
    }
  }
  const listed = Object.keys(manifest.dependencies);
  t.same(
    [...imported].filter((name) => !listed.includes(name)),
    [],
    'each is listed',
  );
  t.same(
    listed.filter((name) => !imported.has(name)),
    // What @fastify/http-proxy takes, held to a version without known holes.
    ['@fastify/reply-from'],
    'and no more',
  );
  t.end();
});

t.test('what the bundle has inside travels along, in the very version and with its licence', (t) => {
  for (const name of manifest.bundleDependencies) {
    const [here, there] = [root, installed].map((place) => join(place, 'node_modules', name));
    const version = (place = '') =>
      (JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as { version: string }).version;
    t.equal(version(there), version(here), name);
    t.ok(
      readdirSync(there as string).some((file) => /^licen[cs]e/i.test(file)),
      `${name}: its licence`,
    );
  }
  t.end();
});

t.test('the parts lists of a release name what runs, and nothing else', (t) => {
  const { jobs } = parse(readFileSync(join(root, '.github/workflows/release.yml'), 'utf8')) as {
    jobs: { package: { steps: { name?: string; run?: string }[] } };
  };
  const run = jobs.package.steps.find(({ name }) => name === 'Parts lists of what runs')?.run ?? '';
  const place = mkdtempSync(join(tmpdir(), 'scopegate-parts-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(root, file), join(place, file));
  t.match(spawnSync('sh', ['-ec', run], { cwd: place, encoding: 'utf8' }), { status: 0 });
  const { components } = JSON.parse(readFileSync(join(place, 'scopegate.cdx.json'), 'utf8')) as {
    components: { name: string; purl: string }[];
  };
  const parts = new Set(components.map(({ name }) => name));
  for (const name of Object.keys(manifest.dependencies)) t.ok(parts.has(name), name);
  for (const name of Object.keys(manifest.devDependencies))
    t.notOk(parts.has(name), `${name} is for development`);
  t.ok(components.every(({ purl }) => purl.startsWith('pkg:npm/')));
  const spdx = JSON.parse(readFileSync(join(place, 'scopegate.spdx.json'), 'utf8')) as {
    packages: { name: string }[];
  };
  t.equal(spdx.packages.length, components.length + 1, 'the same parts, and the whole');
  t.end();
});

t.test('the commands work', (t) => {
  t.match(scopegate('--version'), { status: 0, stdout: `${manifest.version}\n` });
  for (const name of readdirSync(join(installed, 'config')).filter((file) =>
    /^(?:compose|folder|sidecar)\.yaml$/.test(file),
  )) {
    t.match(scopegate('check', '--config', join(installed, 'config', name)), { status: 0 }, name);
  }
  const explained = scopegate(
    'explain',
    '--config',
    join(installed, 'config/folder.yaml'),
    'GET',
    'https://httpbin.localhost/headers',
    '--scope=read',
  );
  t.equal(explained.status, 0, explained.stderr);
  t.equal(scopegate('schema').stdout, readFileSync(join(root, 'config/settings.schema.json'), 'utf8'));
  t.equal(scopegate('nonsense').status, 2);
  t.end();
});

t.test('it serves a rule, and its admin page', async (t) => {
  const upstream = await startUpstream();
  const endpoint = await startIntrospection({ 'good-read': { scope: 'read' } });
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  writeFileSync(join(folder, 'rules.yaml'), apiRule('gate.example', [rule('/.*', ['GET'], 'read')]));
  writeFileSync(
    join(folder, 'scopegate.yaml'),
    JSON.stringify({
      listen: { proxy: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } },
      rules: ['./rules.yaml'],
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
    }),
  );
  const child = spawn(program, ['serve', '--config', 'scopegate.yaml'], {
    cwd: folder,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  let output = '';
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const told = await new Promise<{ proxy: string; admin: string }>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const line = output.split('\n').find((each) => each.includes('"msg":"listening"'));
      if (line !== undefined) resolve(JSON.parse(line) as { proxy: string; admin: string });
    });
    void ended.then(() => reject(new Error(output)));
  });
  t.match(await ask({ url: told.proxy }, '/a', { token: 'good-read' }), {
    status: 200,
    text: '{"path":"/a"}',
  });
  t.equal((await ask({ url: told.proxy }, '/a')).status, 401);
  const page = await ask({ url: told.admin }, '/', { host: new URL(told.admin).host });
  t.equal(page.status, 200);
  t.match(page.text, '<html', 'files that are no code are there, too');
  child.kill('SIGTERM');
  t.same(await ended, [0, null]);
});
