import { join } from 'node:path';
import t from 'tap';
import { slotOf } from '../../../src/outbound/redis/cluster.js';
import type { TestGateway } from '../../gateway.js';
import { available } from '../../require.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { purge, source, startFleet, status } from './fleet.js';
import { startCluster, type TestRedis } from './redis.js';

/** Enough for every node to have some. */
const TOKENS = Object.fromEntries(
  Array.from({ length: 60 }, (_, i) => [`good-${i}`, { scope: 'read', sub: `user-${i % 3}` }]),
);
const NAMES = Object.keys(TOKENS);

async function start(t: Parameters<typeof startFleet>[0], replicas = 0) {
  const nodes = await startCluster(t, replicas);
  const urls = nodes.slice(0, 3).map(({ url }) => url);
  const fleet = await startFleet(t, { cluster: { nodes: urls } }, TOKENS);
  const [one, two] = [await fleet.gateway(), await fleet.gateway()];
  return { ...fleet, nodes, one, two };
}

/** How many answers the nodes hold together. */
async function held(nodes: readonly TestRedis[]): Promise<number> {
  const all = await Promise.all(nodes.map((node) => node.all()));
  return all.flatMap((names) => [...names.keys()]).filter((name) => name.includes(':answer:')).length;
}

/** Asks for all tokens and counts where the answers came from; every one must be allowed. */
async function ask(t: { equal: typeof import('tap').t.equal }, gate: TestGateway) {
  const from: Record<string, number> = {};
  for (const token of NAMES) {
    t.equal(await status(gate, token), 200, token);
    const where = String(source(gate));
    from[where] = (from[where] ?? 0) + 1;
  }
  return from;
}

t.test('a cluster shares answers, and a purge at one gateway is one at all', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, nodes, one, two } = await start(t);
  for (const name of ['a', 'scopegate:answer:x+/=', 'x{tag}y', 'foo{}{bar}', 'ü'])
    t.equal(slotOf(name), await nodes[0]?.call('CLUSTER', 'KEYSLOT', name), name);
  t.same(await ask(t, one), { miss: NAMES.length });
  await until(async () => (await held(nodes)) === NAMES.length);
  for (const node of nodes) t.ok((await node.all()).size > 0, 'each node has some');
  t.same(await ask(t, two), { shared: NAMES.length });
  t.equal(server.asked.length, NAMES.length);

  server.tokens.delete('good-7');
  t.match(await purge(one, { token: 'good-7' }), { told: true });
  await until(async () => (await status(two, 'good-7')) === 401);
  t.equal(await held(nodes), NAMES.length - 1);
  t.match(await purge(two, { sub: 'user-0' }), { told: true });
  await until(async () => (await status(one, 'good-0')) === 200 && source(one) !== 'hit');
  server.tokens.clear();
  t.match(await purge(two, { all: true }), { told: true });
  for (const token of NAMES) {
    await until(async () => (await status(one, token)) === 401);
    t.equal(await status(two, token), 401);
  }
  t.equal(await held(nodes), 0);
});

t.test('a node that is killed makes no decision wrong, and its replica takes over', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, nodes, one, two, gateway } = await start(t, 1);
  const [first, ...others] = nodes as [TestRedis, ...TestRedis[]];
  await ask(t, one);
  await until(async () => (await held(others.slice(0, 2))) > 0);
  await first.stop();
  const wrong: string[] = [];
  async function check(gate: TestGateway): Promise<void> {
    for (const token of [...NAMES, 'bad']) {
      const got = await status(gate, token);
      if (got !== (server.tokens.has(token) ? 200 : 401)) wrong.push(`${token}: ${got}`);
    }
  }
  for (let i = 0; i < 3; i++) for (const gate of [one, two]) await check(gate);
  t.same(wrong, [], 'while it is down');

  const late = await gateway();
  await check(late);
  t.same(wrong, [], 'at a gateway that begins meanwhile');
  server.tokens.delete('good-3');
  await purge(two, { token: 'good-3' });
  for (const gate of [one, two, late]) await until(async () => (await status(gate, 'good-3')) === 401);
  t.pass('a purge reaches all of them');

  const replica = nodes[3] as TestRedis;
  await until(async () => String(await replica.call('INFO', 'replication')).includes('role:master'));
  // With all nodes again, the answers of one gateway are there for the others.
  let round = 0;
  await until(async () => {
    const fresh = Array.from({ length: 30 }, (_, i) => `round-${round}-${i}`);
    round++;
    for (const token of fresh) server.tokens.set(token, { scope: 'read' });
    for (const token of fresh) t.equal(await status(one, token), 200);
    let shared = 0;
    for (const gate of [two, late]) {
      for (const token of fresh) {
        t.equal(await status(gate, token), 200);
        if (source(gate) === 'shared') shared++;
      }
    }
    return shared === 2 * fresh.length;
  });
  t.same(wrong, []);
});

t.test('a cluster over TLS', async (t) => {
  if (!available(t, 'redis')) return;
  const tls = await makeCertificate(['127.0.0.1']);
  const nodes = await startCluster(t, 0, tls);
  const ca = join(t.testdir({ ca: tls.ca }), 'ca');
  const { gateway } = await startFleet(t, { cluster: { nodes: nodes.map(({ url }) => url) }, ca }, TOKENS);
  const [one, two] = [await gateway(), await gateway()];
  t.same(await ask(t, one), { miss: NAMES.length });
  await until(async () => (await held(nodes)) === NAMES.length);
  t.same(await ask(t, two), { shared: NAMES.length });
});

t.test('nodes that stall deny nothing and delay little; the others go on', async (t) => {
  if (!available(t, 'redis')) return;
  const nodes = await startCluster(t);
  const urls = nodes.map(({ url }) => url);
  const { gateway, server } = await startFleet(t, { cluster: { nodes: urls }, timeout: '50ms' }, TOKENS);
  const gate = await gateway();
  await ask(t, gate);
  const stalled = nodes[1] as TestRedis;
  stalled.stall();
  const fresh = Array.from({ length: 90 }, (_, i) => `fresh-${i}`);
  for (const token of fresh) server.tokens.set(token, { scope: 'read' });
  for (const token of fresh) t.equal(await status(gate, token), 200, token);
  const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  t.match(metrics, /^scopegate_shared_cache_failures_total [3-9]$/m, 'few waited for that node, then nobody');
  const elsewhere = fresh[0] as string;
  server.tokens.delete(elsewhere);
  await purge(gate, { token: elsewhere });
  t.equal(await status(gate, elsewhere), 401);
  t.match(await purge(gate, { all: true }), { told: false }, 'one node keeps what it has');
  stalled.goOn();
  await until(async () => (await purge(gate, { all: true })).told);
  t.equal(await held(nodes), 0);
});
