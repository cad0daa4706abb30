import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startGateway } from '../../src/app/gateway.js';
import { loadOptions } from '../../src/commands/load.js';
import { loadOffThread } from '../../src/rules/off-thread.js';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { apiRule } from '../gateway.js';
import { root } from '../root.js';
import { HOSTILE, manyRules } from '../rules/large-sets.js';
import { settingsFor } from '../settings.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';

const open = (host: string) => {
  const rule = { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] };
  return apiRule(host, [rule], host.replace('.', '-'));
};
const OPEN = open('gate.example');
/** It takes seconds to analyse. */
const SLOW = HOSTILE['two patterns with 2^100 states']?.() ?? '';

/** A gateway in this process that loads its rules on another thread. */
async function start(t: Test, heap?: number) {
  const upstream = await startUpstream();
  const folder = t.testdir({ 'open.yaml': OPEN });
  const settings = settingsFor([folder], {
    services: { default: upstream.url },
    matching: { overlap: 'specific' },
    reload: { watch: false },
    server: { maxEventLoopDelay: '0s' },
  });
  const limits = heap === undefined ? {} : { heap };
  const load = (version: number, signal?: AbortSignal) =>
    loadOffThread([folder], loadOptions(settings, version), { ...limits, signal });
  const { table } = await load(1);
  if (table === undefined) throw new Error('the first set must load');
  const log: Record<string, unknown>[] = [];
  const gateway = await startGateway(settings, table, {
    load,
    destination: { write: (line) => void log.push(JSON.parse(line) as Record<string, unknown>) },
  });
  t.teardown(async () => {
    await gateway.close();
    await upstream.close();
  });
  const status = async (path: string) => (await ask({ url: gateway.proxyUrl }, path)).status;
  return { gateway, status, log, file: join(folder, 'more.yaml') };
}

t.test(
  'a set that needs too much memory is a reload that failed, and the rules from before serve',
  async (t) => {
    const { gateway, status, log, file } = await start(t, 40);
    writeFileSync(file, manyRules(12_000));
    await gateway.reload();
    t.match(
      log.filter(({ msg }) => String(msg).startsWith('rules')),
      [
        {
          level: 40,
          finding:
            /more\.yaml:\d+:\d+ error load-limit .*need more than the 40 MiB of memory that loading may use/,
        },
        {
          level: 50,
          msg: 'rules not reloaded: the old rules stay in use',
          version: 1,
          errors: 1,
          finding: /more\.yaml:\d+:\d+ error load-limit /,
        },
      ],
    );
    t.equal(await status('/open'), 200);
    writeFileSync(file, open('more.example'));
    await gateway.reload();
    t.match(log.at(-1), { msg: 'rules reloaded', version: 2 }, 'the next good set is taken');
    t.equal(await status('/open'), 200);
  },
);

t.test('requests are served while rules are loaded', async (t) => {
  const { gateway, status, file, log } = await start(t);
  writeFileSync(file, SLOW);
  let isLoading = true;
  const reload = gateway.reload().then(() => {
    isLoading = false;
  });
  let served = 0;
  while (served < 100 && isLoading) if ((await status('/open')) === 200) served++;
  t.equal(served, 100, 'before the load has ended');
  writeFileSync(file, open('more.example'));
  const next = gateway.reload();
  await Promise.all([reload, next]);
  t.same(
    log.filter(({ msg }) => String(msg).startsWith('rules ')).map(({ msg, version }) => [msg, version]),
    [['rules reloaded', 2]],
    'the first load has ended without a word, because the files had changed',
  );
});

t.test('a gateway that is closed while rules are loaded ends, and so does the thread', async (t) => {
  const { gateway, file, log } = await start(t);
  writeFileSync(file, SLOW);
  const reload = gateway.reload();
  t.equal(await gateway.close(), true);
  await reload;
  t.same(
    log.filter(({ msg }) => String(msg).startsWith('rules')),
    [],
  );
  t.notOk(process.getActiveResourcesInfo().includes('Worker'));
});

t.test('SIGTERM while rules are loaded ends serve with 0', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const folder = t.testdir({ 'open.yaml': OPEN });
  const settings = {
    rules: [folder],
    services: { default: upstream.url },
    introspection: { url: 'http://127.0.0.1:9/introspect' },
    reload: { watch: false },
  };
  const child = await startChild(t, settings, '');
  writeFileSync(join(folder, 'slow.yaml'), SLOW);
  child.process.kill('SIGHUP');
  child.process.kill('SIGTERM');
  t.equal(await child.ended, 0);
  t.notMatch(child.output(), /rules not reloaded/, 'it did not wait for the load');
});

t.test('signals that come while the first set is loaded', async (t) => {
  const folder = t.testdir({ 'slow.yaml': SLOW });
  const file = join(folder, 'settings.json');
  const listen = { host: '127.0.0.1', port: 0 };
  writeFileSync(
    file,
    JSON.stringify({
      listen: { proxy: listen, admin: listen },
      rules: [join(folder, 'slow.yaml')],
      services: { default: 'http://127.0.0.1:9' },
      introspection: { url: 'http://127.0.0.1:9/introspect' },
    }),
  );
  // Says when the signals are listened to: before that, nobody could answer them.
  const spy = `const timer = setInterval(() => {
    if (process.listenerCount('SIGTERM') > 0 && process.listenerCount('SIGHUP') > 0) { process.stderr.write('ready for signals'); clearInterval(timer); }
  }, 1)`;
  const command = ['--import', `data:text/javascript,${encodeURIComponent(spy)}`];
  // Without the hooks that the test runner puts into every Node process: they listen to signals as well.
  const child = spawn(
    '/usr/bin/env',
    [
      '--unset=NODE_OPTIONS',
      process.execPath,
      ...command,
      join(root, 'build/src/cli.js'),
      ...['serve', '--config', file],
    ],
    {
      env: { PATH: process.env.PATH },
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  }
  const ended = once(child, 'close');
  await until(() => output.includes('ready for signals'));
  // By itself it would end the process.
  child.kill('SIGHUP');
  child.kill('SIGTERM');
  t.same(await ended, [0, null]);
  t.notMatch(output, /"listening"|error/, output);
});
