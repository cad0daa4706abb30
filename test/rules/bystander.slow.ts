import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { type Child, startChild } from '../child.js';
import { apiRule } from '../gateway.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { HOSTILE, manyRules } from './large-sets.js';

const OPEN = apiRule('gate.example', [
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
]);
/** What a reload may add to the longest wait, in milliseconds. */
const MOST = 100;
/** On a machine that others use as well a wait may be theirs; one that is the gateway's comes every time. */
const TRIES = 3;

/** Asks again and again. @returns ends it; the longest wait, in milliseconds */
function bystander(gate: Child): () => Promise<{ longest: number; requests: number }> {
  const agent = new Agent({ connections: 4, pipelining: 1 });
  let longest = 0;
  let requests = 0;
  let on = true;
  const client = async (): Promise<void> => {
    while (on) {
      const began = performance.now();
      const { statusCode, body } = await request(`${gate.url}/open`, {
        dispatcher: agent,
        headers: { host: 'gate.example' },
      });
      await body.dump();
      if (statusCode !== 200) throw new Error(`${statusCode}`);
      longest = Math.max(longest, performance.now() - began);
      requests++;
      await pause(1);
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  return async () => {
    on = false;
    await clients;
    await agent.close();
    return { longest, requests };
  };
}

async function start(t: Test): Promise<{ gate: Child; folder: string }> {
  const upstream = await startUpstream();
  const folder = t.testdir({ 'open.yaml': OPEN });
  const gate = await startChild(
    t,
    {
      rules: [folder],
      services: { default: upstream.url },
      introspection: { url: 'http://127.0.0.1:9/introspect' },
      reload: { watch: false },
      log: { audit: false },
    },
    '',
  );
  t.teardown(() => upstream.close());
  return { gate, folder };
}

/** Has the gateway load its rules again. @returns what it logged, and how long it took, in milliseconds */
async function reload(gate: Child): Promise<{ said: string; ms: number }> {
  const before = gate.output().length;
  const began = performance.now();
  gate.process.kill('SIGHUP');
  const said = (): string => gate.output().slice(before);
  await until(() => /"msg":"rules (not )?reloaded/.test(said()), 120_000);
  return { said: said(), ms: performance.now() - began };
}

t.test('while rules are loaded no request waits longer', async (t) => {
  const { gate, folder } = await start(t);
  const file = join(folder, 'more.yaml');
  const sets = {
    '3,000 rules': () => manyRules(3_000),
    '10,000 rules': () => manyRules(10_000),
    ...HOSTILE,
  };
  for (const [name, make] of Object.entries(sets)) {
    writeFileSync(file, make());
    let shown = '';
    let best = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < TRIES && best > MOST; tries++) {
      const before = bystander(gate);
      await pause(2_000);
      const quiet = await before();
      const during = bystander(gate);
      const { said, ms } = await reload(gate);
      const busy = await during();
      const more = busy.longest - quiet.longest;
      best = Math.min(best, more);
      const finding = /"finding":"(?:[^"\\]|\\.)*\/more\.yaml(:\d+:\d+ [^"\\]{0,120})/.exec(said)?.[1];
      shown =
        `${name}: ${(ms / 1000).toFixed(1)} s, the longest wait ${busy.longest.toFixed(1)} ms ` +
        `of ${busy.requests}, before ${quiet.longest.toFixed(1)} ms${finding === undefined ? '' : `; ${finding}`}`;
      t.equal(
        said.includes('not reloaded'),
        name in HOSTILE,
        `${name}: ${name in HOSTILE ? 'refused' : 'taken'}`,
      );
    }
    t.comment(shown);
    t.ok(best <= MOST, `${name}: no request waits ${MOST} ms longer`);
  }
  rmSync(file);
  t.match((await reload(gate)).said, '"rules reloaded"', 'and a good set is taken afterwards');
});
