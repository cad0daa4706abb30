import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { ask } from '../ask.js';
import { VECTOR_RULES, VECTOR_TOKENS } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { root } from '../root.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { readExposition } from './exposition.js';
import { pipe } from './pipe.js';

/** Serves in a process of its own whose standard output is what the test says. */
async function serve(t: Test, stdout: number | 'pipe') {
  const endpoint = await startIntrospection(VECTOR_TOKENS);
  const upstream = await startUpstream();
  const [port, adminPort] = [await freePort(), await freePort()];
  const folder = t.testdir({
    'rules.yaml': VECTOR_RULES,
    'settings.yaml': JSON.stringify({
      listen: { proxy: { host: '127.0.0.1', port }, admin: { port: adminPort } },
      rules: ['rules.yaml'],
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
      matching: { overlap: 'specific' },
      server: { drainTimeout: '2s' },
    }),
  });
  const child = spawn(
    process.execPath,
    [join(root, 'build/src/cli.js'), 'serve', '--config', join(folder, 'settings.yaml')],
    { stdio: ['ignore', stdout, 'inherit'], env: { PATH: process.env.PATH } },
  );
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>;
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exit;
    await Promise.all([endpoint.close(), upstream.close()]);
  });
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const health = async () => (await request(`${adminUrl}/health/ready`)).statusCode === 200;
  await until(() => health().catch(() => false));
  return {
    child,
    exit,
    gate: { url: `http://127.0.0.1:${port}` },
    async dropped() {
      const { samples } = readExposition(await (await request(`${adminUrl}/metrics`)).body.text());
      return samples.find(({ name }) => name === 'scopegate_log_lines_dropped_total')?.value ?? 0;
    },
  };
}

const OUTPUTS: Record<string, (t: Test) => { stdout: number | 'pipe'; drops: boolean; gone: boolean }> = {
  'a pipe that nobody reads': (t) => ({ stdout: pipe(t).writer, drops: false, gone: false }),
  'a pipe whose reader is gone': (t) => {
    const { writer, closeReader } = pipe(t);
    setImmediate(closeReader);
    return { stdout: writer, drops: true, gone: false };
  },
  'a socket that nobody reads': () => ({ stdout: 'pipe', drops: false, gone: false }),
  'a socket that is closed': () => ({ stdout: 'pipe', drops: true, gone: true }),
  'a full disk': (t) => {
    const stdout = openSync('/dev/full', 'w');
    t.teardown(() => closeSync(stdout));
    return { stdout, drops: false, gone: false };
  },
};

for (const [output, make] of Object.entries(OUTPUTS)) {
  t.test(`with ${output} as standard output, it serves, and ends when it is told to`, async (t) => {
    const { stdout, drops, gone } = make(t);
    const { child, exit, gate, dropped } = await serve(t, stdout);
    if (gone) child.stdout?.destroy();
    // More than a pipe or a socket holds: the path stands in every line.
    const path = `/${'a'.repeat(4_000)}`;
    for (let i = 0; i < 4; i++) {
      const asked = Array.from({ length: 25 }, () => ask(gate, path, { token: 'good-read' }));
      t.ok((await Promise.all(asked)).every(({ status }) => status === 200));
    }
    if (drops) await until(async () => (await dropped()) > 0);
    const asked = Date.now();
    child.kill('SIGTERM');
    t.same(await exit, [0, null]);
    t.ok(Date.now() - asked < 10_000, 'at once');
  });
}
