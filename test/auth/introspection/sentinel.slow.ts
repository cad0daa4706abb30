import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { TestGateway } from '../../gateway.js';
import { available } from '../../require.js';
import { until } from '../../until.js';
import { purge, source, startFleet, status } from './fleet.js';
import { startSentinels, type TestRedis } from './redis.js';

const NAMES = Array.from({ length: 20 }, (_, i) => `good-${i}`);
const TOKENS = Object.fromEntries(NAMES.map((name) => [name, { scope: 'read' }]));

async function start(t: Test, timeout: string) {
  const { master, replicas, sentinels } = await startSentinels(t, 1, 3);
  const passwords = t.testdir({ store: 'store-password', sentinel: 'sentinel-password' });
  const fleet = await startFleet(
    t,
    {
      sentinel: {
        nodes: sentinels.map(({ url }) => url),
        master: 'main',
        passwordFile: join(passwords, 'sentinel'),
      },
      passwordFile: join(passwords, 'store'),
      timeout,
    },
    TOKENS,
  );
  return { ...fleet, master, replica: replicas[0] as TestRedis, sentinels };
}

t.test('a master that is killed makes no decision wrong, and the next one shares again', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, master, replica, sentinels, gateway } = await start(t, '50ms');
  const [one, two] = [await gateway(), await gateway()];
  const wrong: string[] = [];
  async function check(gate: TestGateway, tokens: readonly string[] = [...NAMES, 'bad']): Promise<void> {
    for (const token of tokens) {
      const got = await status(gate, token);
      if (got !== (server.tokens.has(token) ? 200 : 401)) wrong.push(`${token}: ${got}`);
    }
  }
  await check(one);
  await until(async () => (await master.all()).size === NAMES.length);
  await check(two, NAMES);
  t.equal(server.asked.filter((token) => token !== 'bad').length, NAMES.length, 'shared');

  await master.stop();
  const begun = performance.now();
  // The sentinels cut the replica's connections when it is promoted.
  const role = async (): Promise<string> => String(await replica.call('INFO', 'replication').catch(() => ''));
  let fresh = 0;
  let slowest = 0;
  while (!(await role()).includes('role:master')) {
    const token = `fresh-${fresh++}`;
    server.tokens.set(token, { scope: 'read' });
    for (const gate of [one, two]) {
      const asked = performance.now();
      await check(gate, [token, 'bad', NAMES[0] as string]);
      slowest = Math.max(slowest, performance.now() - asked);
    }
    if (performance.now() - begun > 60_000) throw new Error('no sentinel promotes the replica');
  }
  t.ok(fresh > 10, `${fresh} new tokens while there was no master`);
  t.comment(
    `${Math.round(performance.now() - begun)} ms without a master, slowest round ${Math.round(slowest)} ms`,
  );
  t.ok(slowest < 2_000, `${slowest} ms`);

  let after = '';
  await until(async () => {
    after = `after-${fresh++}`;
    server.tokens.set(after, { scope: 'read' });
    await check(one, [after]);
    await check(two, [after]);
    return source(two) === 'shared';
  });
  server.tokens.delete(after);
  t.match(await purge(two, { token: after }), { told: true });
  await until(async () => (await status(one, after)) === 401);
  t.pass('a purge is heard by way of the new master');
  t.same(wrong, []);

  for (const each of sentinels) await each.stop();
  await check(one);
  await check(two);
  t.same(wrong, [], 'without sentinels');
  server.tokens.set('more', { scope: 'read' });
  await check(one, ['more']);
  await until(async () => {
    await check(two, ['more']);
    return (await replica.all()).size > 0;
  });
});

t.test('while no master is there to be named, nobody waits and nothing spins', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, master, replica, gateway } = await start(t, '50ms');
  const gate = await gateway();
  await replica.stop();
  await master.stop();
  const used = process.cpuUsage();
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < 5_000) {
    const token = `fresh-${count++}`;
    server.tokens.set(token, { scope: 'read' });
    if ((await status(gate, token)) !== 200) t.fail(token);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { user, system } = process.cpuUsage(used);
  const share = (user + system) / 1000 / (performance.now() - begun);
  t.ok(share < 0.5, `${Math.round(share * 100)} % of a processor, ${count} requests`);
  await master.restart();
  server.tokens.set('again', { scope: 'read' });
  await until(async () => {
    await purge(gate, { token: 'again' });
    await status(gate, 'again');
    return (await master.all()).size > 0;
  });
});
