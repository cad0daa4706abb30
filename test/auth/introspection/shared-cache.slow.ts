import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { Random } from '../../fuzz/random.js';
import type { TestGateway } from '../../gateway.js';
import { available } from '../../require.js';
import { purge, startFleet } from './fleet.js';
import { startRedis } from './redis.js';

const GATEWAYS = 4;
const TOKENS = 10_000;
const ROUNDS = 4;
const AT_ONCE = 32;

/** Four gateways before one authorization server, and the store that they share. */
async function start(t: Test, tokens: Readonly<Record<string, Readonly<Record<string, unknown>>>>) {
  const redis = await startRedis(t);
  const cache = { ttl: '10m', maxEntries: 100_000 };
  const fleet = await startFleet(t, { url: redis.url, timeout: '5s' }, tokens, undefined, cache);
  const gateways: TestGateway[] = [];
  for (let i = 0; i < GATEWAYS; i++) gateways.push(await fleet.gateway());
  return { server: fleet.server, redis, gateways };
}

/** Does something for each item, so many at once. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => [random.next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

t.test('four gateways ask once for each of ten thousand tokens', async (t) => {
  if (!available(t, 'redis')) return;
  const names = Array.from({ length: TOKENS }, (_, i) => `token-${i}`);
  const { server, gateways } = await start(
    t,
    Object.fromEntries(names.map((name, i) => [name, { scope: 'read', sub: `user-${i}` }])),
  );
  const random = new Random(7662);
  const statuses = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round++) {
    await each(shuffled(names, random), async (token) => {
      const { status } = await ask(random.pick(gateways), '/x', { token });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
  }
  t.same([...statuses], [[200, TOKENS * ROUNDS]]);
  t.comment(`${TOKENS * ROUNDS} requests, ${server.asked.length} introspections`);
  t.equal(new Set(server.asked).size, TOKENS);
  t.ok(server.asked.length <= TOKENS, `${server.asked.length} introspections`);

  const revoked = 'token-7';
  for (const gate of gateways) t.equal((await ask(gate, '/x', { token: revoked })).status, 200);
  server.tokens.delete(revoked);
  t.match(await purge(gateways[0] as TestGateway, { token: revoked }), { told: true });
  const purged = performance.now();
  for (const gate of gateways) {
    while ((await ask(gate, '/x', { token: revoked })).status !== 401) {
      if (performance.now() - purged > 1_000) break;
    }
    t.equal((await ask(gate, '/x', { token: revoked })).status, 401, 'gone within a second');
  }
});

t.test('a store that dies and comes back under load changes no decision', async (t) => {
  if (!available(t, 'redis')) return;
  const good = Array.from({ length: 500 }, (_, i) => `good-${i}`);
  const bad = Array.from({ length: 100 }, (_, i) => `bad-${i}`);
  const { redis, gateways } = await start(
    t,
    Object.fromEntries(good.map((name) => [name, { scope: 'read' }])),
  );
  const random = new Random(2_3_4);
  const wrong: string[] = [];
  let done = 0;
  const load = async (requests: number): Promise<void> =>
    each(Array.from({ length: requests }), async () => {
      const token = random.chance(0.2) ? random.pick(bad) : random.pick(good);
      const { status } = await ask(random.pick(gateways), '/x', { token });
      done++;
      if (status !== (token.startsWith('good') ? 200 : 401)) wrong.push(`${token}: ${status}`);
    });
  for (let turn = 0; turn < 4; turn++) {
    const loading = load(3_000);
    const begun = done;
    while (done < begun + 500) await new Promise(setImmediate);
    await redis.stop();
    while (done < begun + 1_500) await new Promise(setImmediate);
    await redis.restart();
    await loading;
    for (const gate of gateways) await purge(gate, { all: true });
  }
  t.same(wrong, [], `${done} requests, the store killed four times`);
});
