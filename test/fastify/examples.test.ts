import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';

// The example applications run as they stand, each a process, on the bundle and a Fastify that they find beside it.

const folder = mkdtempSync(join(tmpdir(), 'scopegate-examples-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

t.test('the bundle is made', (t) => {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, '.ci/bundle.js'), join(root, 'build/src'), join(folder, 'dist')],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  t.same([status, stderr], [0, '']);
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true });
  mkdirSync(join(folder, 'node_modules/@fastify'), { recursive: true });
  for (const name of ['fastify', '@fastify/rate-limit'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  const declarations = ['fastify.d.ts', 'plugin-types.d.ts']
    .map((name) => readFileSync(join(folder, 'dist', name), 'utf8'))
    .join('\n');
  t.same(
    [...new Set([...declarations.matchAll(/from '([^']+)'/g)].map(([, from]) => from))],
    ['fastify', './plugin-types.js'],
    'the types want nothing but Fastify',
  );
  t.end();
});

/** Runs an example, and gives where it listens and what it has written. */
async function run(t: Test, name: string, environment: Readonly<Record<string, string>> = {}) {
  const upstream = await startUpstream();
  const endpoint = await startIntrospection({
    reader: { scope: 'read', sub: 'reader', client_id: 'c' },
    other: { scope: 'read', sub: 'other' },
    writer: { scope: 'write', sub: 'writer' },
  });
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  writeFileSync(
    join(folder, 'rules.yaml'),
    apiRule('gate.example', [rule('/.*', ['GET'], 'read'), rule('/orders', ['POST'], 'write')]),
  );
  writeFileSync(
    join(folder, 'scopegate.yaml'),
    JSON.stringify({
      rules: ['./rules.yaml'],
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
    }),
  );
  const child = spawn(process.execPath, [join('examples/fastify', name), 'scopegate.yaml'], {
    cwd: folder,
    env: { PATH: process.env.PATH, PORT: '0', METRICS_PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /Server listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => reject(new Error(output)));
  });
  const end = async (): Promise<void> => {
    child.kill('SIGTERM');
    t.same(await ended, [0, null], 'it ends by itself');
  };
  return { url, upstream, endpoint, end, output: () => output };
}

t.test('own routes', async (t) => {
  const app = await run(t, 'own-routes.js');
  t.match(await ask(app, '/health'), { status: 200, text: '{"ready":true}' });
  t.equal((await ask(app, '/orders')).status, 401);
  t.equal((await ask(app, '/orders', { token: 'writer' })).status, 403);
  t.same(JSON.parse((await ask(app, '/orders', { token: 'reader' })).text), {
    orders: [],
    of: 'reader',
    client: 'c',
    scopes: ['read'],
  });
  const made = await ask(app, '/orders', {
    method: 'POST',
    token: 'writer',
    headers: { 'content-type': 'application/json' },
    body: '{"item":"a"}',
  });
  t.match(made, { status: 201, text: '{"item":"a","by":"writer"}' });
  t.equal((await ask(app, '/%zz')).status, 400);
  // What a process writes comes when it comes.
  await until(() => /"name":"scopegate".*"decision":"allow"/.test(app.output()));
  t.notMatch(app.output(), /Bearer|"token"/);
  await app.end();
});

t.test('upstreams', async (t) => {
  const app = await run(t, 'upstreams.js');
  t.match(await ask(app, '/health'), { status: 200, text: '{"ready":true}' });
  t.equal((await ask(app, '/a')).status, 401);
  t.match(await ask(app, '/a?b', { token: 'reader' }), {
    status: 200,
    text: '{"path":"/a?b"}',
    headers: { 'x-served-by': 'example' },
  });
  await until(() => /"metrics":\d+/.test(app.output()));
  const port = /"metrics":(\d+)/.exec(app.output())?.[1];
  const metrics = await ask({ url: `http://127.0.0.1:${port}` }, '/metrics');
  t.match(metrics.text, /scopegate_requests_total\{[^}]*entrance="fastify"[^}]*status="200"\} 1/);
  await app.end();
});

t.test('with @fastify/rate-limit', async (t) => {
  const app = await run(t, 'rate-limit.js', { PER_ADDRESS: '7', PER_SUBJECT: '2' });
  const statuses: number[] = [];
  for (const token of ['reader', 'reader', 'reader', 'other', 'bad-1', 'bad-2', 'bad-3', 'bad-4', 'bad-5'])
    statuses.push((await ask(app, '/a', { token })).status);
  t.same(statuses, [200, 200, 429, 200, 401, 401, 401, 429, 429]);
  t.equal(app.upstream.received.length, 3);
  t.same(app.endpoint.asked.includes('bad-4'), false, 'whom the limit refuses, nobody is asked about');
  await app.end();
});
