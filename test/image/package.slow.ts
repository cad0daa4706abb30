import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { startRedis } from '../auth/introspection/redis.js';
import { type Page, pages } from '../docs/page.js';
import { Terminal, walk } from '../docs/terminal.js';
import { apiRule, rule } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { filesOf } from './files.js';
import { readSbom } from './sbom.js';

// The package as npm makes it is installed where nothing else is, and does there what it does here.

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
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
    { filename: string; size: number; files: { path: string }[] },
  ];
  t.same(
    [...new Set(packed.files.map(({ path }) => path.split('/')[0]))].sort(),
    ['LICENSE', 'README.md', 'config', 'dist', 'docs', 'examples', 'package.json'],
    'nothing else is published',
  );
  const described = readFileSync(join(root, 'config/settings.schema.json'), 'utf8');
  for (const [page] of described.matchAll(/docs\/[\w-]+\.md/g))
    t.ok(
      packed.files.some(({ path }) => path === page),
      `it holds ${page}, which a setting names`,
    );
  t.ok(packed.size < 2_000_000, `${packed.size} bytes`);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  // Without a network: there is nothing to fetch.
  npm(t, folder, 'install', `./${packed.filename}`, '--offline', '--no-audit', '--no-fund');
  t.same(
    readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['scopegate'],
    'no other package came along',
  );
  const size = filesOf(installed).reduce((sum, path) => sum + statSync(path).size, 0);
  t.ok(size < 12_000_000, `${size} bytes installed`);
  npm(
    t,
    folder,
    'install',
    '--global',
    `--prefix=${join(folder, 'global')}`,
    `./${packed.filename}`,
    '--offline',
  );
  t.match(spawnSync(join(folder, 'global/bin/scopegate'), ['--version'], { encoding: 'utf8' }), {
    status: 0,
    stdout: `${manifest.version}\n`,
  });
});

t.test('docs/installation.md is right about the tarball', async (t) => {
  const place = t.testdir({ 'package.json': '{"private":true}' });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
  copyFileSync(join(folder, tarball), join(place, tarball));
  const terminal = new Terminal(place, {
    PATH: [join(place, 'global/bin'), process.env.PATH].join(delimiter),
    npm_config_prefix: join(place, 'global'),
    npm_config_offline: 'true',
  });
  t.teardown(() => terminal.close());
  const page = pages().find(({ path }) => path === 'docs/installation.md') as Page;
  t.equal(await walk(t, page, 'tarball', terminal), 4);
});

t.test('scanners find what is inside, and other packages what they may take', (t) => {
  const { subject, parts } = readSbom(join(installed, 'dist'));
  t.match(subject, { name: 'scopegate', version: manifest.version });
  for (const name of ['fastify', 'undici', 'recheck', '@redis/client', '@opentelemetry/sdk-trace'])
    t.ok(
      parts.some((part) => part.name === name),
      name,
    );
  const load = createRequire(join(folder, 'index.js'));
  t.match(load('scopegate/package.json'), { version: manifest.version });
  t.match(load('scopegate/settings.schema.json'), { type: 'object' });
  t.throws(() => load('scopegate/dist/cli.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
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

/** Starts the installed program with these settings beside the tests' own, and gives where it listens. */
async function serve(t: Test, settings: object) {
  const upstream = await startUpstream();
  const tokens = ['read', ...Array.from({ length: 1_000 }, (_, i) => i)].map((end) => `good-${end}`);
  const endpoint = await startIntrospection(
    Object.fromEntries(tokens.map((token) => [token, { scope: 'read' }])),
  );
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  writeFileSync(join(folder, 'rules.yaml'), apiRule('gate.example', [rule('/.*', ['GET'], 'read')]));
  writeFileSync(
    join(folder, 'scopegate.yaml'),
    JSON.stringify({
      listen: { proxy: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } },
      rules: ['./rules.yaml'],
      services: { default: upstream.url },
      ...settings,
      introspection: {
        url: endpoint.url,
        ...('introspection' in settings ? (settings.introspection as object) : {}),
      },
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
  const end = async () => {
    child.kill('SIGTERM');
    t.same(await ended, [0, null]);
  };
  return { ...told, end };
}

t.test('it serves a rule, and its admin page', async (t) => {
  const { proxy, admin, end } = await serve(t, {});
  t.match(await ask({ url: proxy }, '/a', { token: 'good-read' }), { status: 200, text: '{"path":"/a"}' });
  t.equal((await ask({ url: proxy }, '/a')).status, 401);
  const page = await ask({ url: admin }, '/', { host: new URL(admin).host });
  t.equal(page.status, 200);
  t.match(page.text, '<html', 'files that are no code are there, too');
  await end();
});

t.test('it sends spans', async (t) => {
  const bodies: string[] = [];
  const collector = createServer(async (message, response) => {
    let body = '';
    for await (const chunk of message) body += chunk;
    bodies.push(body);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  t.teardown(() => collector.close());
  const { port } = collector.address() as AddressInfo;
  const { proxy, end } = await serve(t, { tracing: { endpoint: `http://127.0.0.1:${port}/v1/traces` } });
  t.equal((await ask({ url: proxy }, '/a', { token: 'good-read' })).status, 200);
  await end();
  const [first = '{}'] = bodies;
  const { resourceSpans } = JSON.parse(first) as {
    resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[];
  };
  t.ok(resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)).length >= 2);
});

t.test('it shares answers through Redis', async (t) => {
  if (!available(t, 'redis')) return;
  const redis = await startRedis(t);
  writeFileSync(join(folder, 'key'), Buffer.alloc(32, 7).toString('base64'));
  const shared = { url: redis.url, keyFile: './key' };
  const { proxy, end } = await serve(t, { introspection: { cache: { shared } } });
  // It connects in the background: answers that come before that are not shared.
  let requests = 0;
  await until(async () => {
    await ask({ url: proxy }, '/a', { token: `good-${requests++ % 1_000}` });
    return (await redis.all()).size > 0;
  });
  t.match([...(await redis.all()).keys()][0], /^scopegate:answer:/);
  await end();
});

const CONSUMER = `import createApp from 'fastify';
import scopegate, { frameworkErrors, type Scopegate, type ScopegateDecision } from 'scopegate/fastify';

const app = createApp({ frameworkErrors });
await app.register(scopegate, { settings: 'scopegate.yaml', upstreams: { prefix: '/up', methods: ['GET'] } });
app.get('/a', { onRequest: app.scopegate.authorize }, async (request) => {
  const decision: ScopegateDecision | null = request.scopegate;
  const subject: string | undefined = decision?.subject;
  return { subject, claims: decision?.claims.sub };
});
const { ready }: Scopegate = app.scopegate;
const purged: { readonly purged: number } = await app.scopegate.purge({ claim: 'sub', value: 'a' });
console.log(ready, purged);
`;

t.test('the plugin: for modules, for CommonJS, and with its types', async (t) => {
  const upstream = await startUpstream();
  const endpoint = await startIntrospection({ 'good-read': { scope: 'read', sub: 'reader' } });
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  writeFileSync(join(folder, 'rules.yaml'), apiRule('gate.example', [rule('/.*', ['GET'], 'read')]));
  writeFileSync(
    join(folder, 'scopegate.yaml'),
    JSON.stringify({
      rules: ['./rules.yaml'],
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
    }),
  );
  // What an application brings itself.
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  for (const name of ['fastify', '@types/node'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  const body = `
const app = createApp();
const headers = { host: 'gate.example', authorization: 'Bearer good-read' };
const run = async () => {
  await app.register(scopegate, { settings: 'scopegate.yaml', upstreams: true });
  app.get('/own', { onRequest: app.scopegate.authorize }, async (request) => request.scopegate.subject);
  for (const url of ['/own', '/a', '//a']) console.log((await app.inject({ url, headers })).statusCode);
  console.log((await app.inject({ url: '/own', headers: { host: 'gate.example' } })).statusCode);
  await app.close();
};
run();
`;
  writeFileSync(
    join(folder, 'app.mjs'),
    `import createApp from 'fastify';\nimport scopegate from 'scopegate/fastify';\n${body}`,
  );
  writeFileSync(
    join(folder, 'app.cjs'),
    `const createApp = require('fastify');\nconst { scopegate } = require('scopegate/fastify');\n${body}`,
  );
  for (const file of ['app.mjs', 'app.cjs']) {
    const child = spawn(process.execPath, [file], {
      cwd: folder,
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    t.same(await once(child, 'close'), [0, null], `${file}: ${stderr}`);
    t.equal(stdout, '200\n200\n400\n401\n', file);
  }
  writeFileSync(join(folder, 'consumer.mts'), CONSUMER);
  const checked = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/typescript/bin/tsc'),
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      'consumer.mts',
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  t.same([checked.status, checked.stdout], [0, '']);
  writeFileSync(join(folder, 'wrong.mts'), CONSUMER.replace("claim: 'sub'", "claim: 'name'"));
  const wrong = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/typescript/bin/tsc'),
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--types',
      'node',
      'wrong.mts',
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  t.match(wrong.stdout, /wrong\.mts\(\d+,\d+\): error TS/, 'the types are not any');
});
