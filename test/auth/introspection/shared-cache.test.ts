import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { PurgeLog } from '../../../src/auth/introspection/invalidation.js';
import { fakeClock } from '../../clock.js';
import type { TestGateway } from '../../gateway.js';
import { available } from '../../require.js';
import { until } from '../../until.js';
import { purge, source, startFleet, status } from './fleet.js';
import { startRedis } from './redis.js';
import { answers, key, show, start } from './shared-cache-setup.js';

t.test('what one gateway was answered, another need not ask; the store learns nothing', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, redis, gateway, clock } = await start(t);
  const [one, two] = [await gateway(), await gateway()];
  for (const token of ['secret-token', 'short', 'unknown']) await status(one, token);
  await until(async () => (await redis.all()).size === 2);
  const held = await redis.all();
  t.notMatch(
    JSON.stringify([...held]),
    /secret-token|alice|read|introspect/,
    'no token and no claim in clear',
  );
  for (const name of held.keys()) t.match(name, /^scopegate:answer:[A-Za-z0-9+/]{43}=$/);
  const lives = await Promise.all([...held.keys()].map((name) => redis.life(name)));
  t.ok(lives.every((life) => life > 0 && life <= 60_000) && lives.some((life) => life <= 20_000), `${lives}`);
  const asked = server.asked.length;
  t.equal(await status(two, 'secret-token'), 200);
  t.equal(source(two), 'shared');
  t.equal(await status(two, 'short'), 200);
  t.equal(server.asked.length, asked, 'nobody was asked');
  t.equal(await status(two, 'unknown'), 401);
  t.equal(server.asked.length, asked + 1, 'an inactive answer is not shared');
  t.equal(await status(two, 'secret-token'), 200);
  t.equal(source(two), 'hit', 'from then on it is its own');
  clock.advance(20_000);
  t.equal(await status(two, 'short'), 401, 'exp ends it');
  clock.advance(40_000);
  await status(two, 'secret-token');
  t.equal(source(two), 'miss', 'an answer from the store lives no longer than where it came from');
});

t.test('of gateways that get a new token at once, one asks, and the others use its answer', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, gateway, redis } = await start(t);
  const gateways = [
    await gateway({ wait: '1h' }),
    await gateway({ wait: '1h' }),
    await gateway({ wait: '1h' }),
  ];
  const all = (token: string) => Promise.all(gateways.map((gate) => status(gate, token)));
  let answer = (): void => {};
  server.gate = new Promise((resolve) => {
    answer = resolve;
  });
  const asked = all('secret-token');
  await until(() => server.asked.length === 1);
  await until(async () =>
    (await redis.call('INFO', 'commandstats'))?.toString().match(/cmdstat_set:calls=(?:[4-9]|\d\d)/),
  );
  t.equal(server.asked.length, 1, 'the others wait');
  answer();
  t.same(await asked, [200, 200, 200]);
  t.equal(server.asked.length, 1);
  t.same(await all('unknown'), [401, 401, 401]);
  t.equal(server.asked.length, 4, 'an inactive answer is each one’s own, and holds nobody up');
  await purge(gateways[0] as TestGateway, { token: 'secret-token' });
  t.same(await all('secret-token'), [200, 200, 200], 'a purge ends the turn as well');
  t.ok(server.asked.length > 4, 'a gateway that hears of the purge while it asks may ask again');
});

t.test('a gateway that dies while it asks holds the others up for a moment, and no longer', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, gateway, redis } = await start(t);
  const gate = await gateway({ wait: '300ms' });
  t.equal(await status(gate, 'secret-token'), 200);
  const turn = [...(await redis.all()).keys()].find((name) => name.endsWith(':turn'));
  t.ok(turn, 'an answer is there for as long as anybody may be waiting');
  await purge(gate, { token: 'secret-token' });
  await redis.call('SET', turn as string, '', 'PX', '500');
  t.equal(await status(gate, 'secret-token'), 200, 'another one has the turn, and never ends it');
  t.equal(server.asked.length, 2);
});

t.test('processes of one machine share a store by its Unix socket', async (t) => {
  if (!available(t, 'redis')) return;
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'the store.sock');
  await startRedis(t, { lines: [`unixsocket "${path}"`] });
  const url = `redis+unix://${encodeURI(path)}`;
  const fleet = await startFleet(t, { url }, { 'secret-token': { scope: 'read' } });
  const [one, two] = [await fleet.gateway(), await fleet.gateway()];
  const other = await fleet.gateway({ url: `${url}?database=1` });
  t.equal(await status(one, 'secret-token'), 200);
  await until(async () => {
    t.equal(await status(two, 'secret-token'), 200);
    await purge(two, { token: 'nobody' });
    return source(two) !== 'miss';
  });
  t.equal(source(two), 'shared');
  t.equal(fleet.server.asked.length, 1);
  t.equal(await status(other, 'secret-token'), 200);
  t.equal(source(other), 'miss', 'another database is another store');
  t.same(await purge(two, { token: 'secret-token' }), { purged: 1, told: true });
  fleet.server.tokens.delete('secret-token');
  await until(async () => (await status(one, 'secret-token')) === 401);
});

t.test('a purge anywhere is one everywhere', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, redis, gateway } = await start(t);
  const [one, two, three] = [await gateway(), await gateway(), await gateway()];
  for (const gate of [one, two, three]) {
    for (const token of ['secret-token', 'short']) t.equal(await status(gate, token), 200);
  }
  await until(async () => (await redis.all()).size === 2);
  server.tokens.delete('secret-token');
  t.equal(await status(two, 'secret-token'), 200, 'still in its cache');
  t.match(await purge(three, { token: 'secret-token' }), { purged: 1, told: true });
  for (const gate of [one, two]) await until(async () => (await status(gate, 'secret-token')) === 401);
  t.equal((await redis.all()).size, 1);
  t.equal(await status(one, 'short'), 200);
  t.equal(source(one), 'hit', 'other tokens stay');
  server.tokens.clear();
  t.match(await purge(one, { all: true }), { told: true });
  for (const gate of [two, three]) await until(async () => (await status(gate, 'short')) === 401);
  t.equal(answers(await redis.all()).length, 0);
});

t.test('a purge by subject, client or session ends their answers, and no others', async (t) => {
  if (!available(t, 'redis')) return;
  const clock = fakeClock();
  const redis = await startRedis(t);
  const { server, gateway } = await startFleet(
    t,
    { url: redis.url },
    {
      a: { scope: 'read', sub: 'alice', client_id: 'client-one', sid: 'session-one' },
      b: { scope: 'read', sub: 'bob', client_id: 'client-two', sid: 'session-two' },
    },
    clock,
  );
  const sourceOf = async (gate: TestGateway, token: string): Promise<unknown> => {
    t.equal(await status(gate, token), 200);
    return source(gate);
  };
  /** Waits until gateways have heard of all that was purged before: purges come in order. */
  const heardBy = async (gates: readonly TestGateway[], by: TestGateway): Promise<void> => {
    for (const gate of gates) await status(gate, 'marker');
    await purge(by, { token: 'marker' });
    for (const gate of gates) {
      await until(async () => {
        await status(gate, 'marker');
        return source(gate) !== 'hit';
      });
    }
  };
  const others: TestGateway[] = [];
  const [one, two] = [await gateway(), await gateway()];
  for (const which of [{ sub: 'alice' }, { client_id: 'client-one' }, { sid: 'session-one' }]) {
    const what = JSON.stringify(which);
    clock.advance(3_000);
    t.equal(await sourceOf(one, 'a'), 'miss', what);
    await sourceOf(one, 'b');
    await until(async () => answers(await redis.all()).length === 2);
    const before = await redis.all();
    t.match(await purge(one, which), { told: true });
    t.equal(await sourceOf(one, 'b'), 'hit', `${what}: others stay`);
    await until(() => sourceOf(two, 'a').then((from) => from === 'miss'));
    t.equal(await sourceOf(two, 'b'), what.includes('alice') ? 'shared' : 'hit');
    // Written too late, or by a replica that did not hear of it.
    for (const name of answers(before)) await redis.set(name, before.get(name) as string);
    const late = await gateway();
    t.equal(await sourceOf(late, 'a'), 'miss', `${what}: also at a gateway that begins later`);
    t.equal(await sourceOf(late, 'b'), 'shared');
    clock.advance(3_000);
    await purge(one, { token: 'a' });
    // Whoever hears of it later takes out of the store what has been asked for since.
    await heardBy([one, ...others, late], two);
    await heardBy([two], one);
    await sourceOf(one, 'a');
    await until(async () => answers(await redis.all()).length === 2);
    const last = await gateway();
    t.equal(await sourceOf(last, 'a'), 'shared', `${what}: what is asked for afterwards is shared`);
    others.push(late, last);
    await purge(one, { token: 'a' });
  }
  t.equal(await redis.call('ZCARD', 'scopegate:purged'), 3);
  t.notMatch(String(await redis.call('ZRANGE', 'scopegate:purged', '0', '-1')), /alice|-one/);

  for (const gate of [one, two]) await sourceOf(gate, 'b');
  server.tokens.delete('b');
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  t.match(await purge(one, { client_id: 'client-two' }), { told: true });
  await until(async () => (await status(two, 'b')) === 401);
  t.equal(await status(one, 'b'), 401, 'one that was not connected learns of it when it is again');
});

t.test('of purges that are too many to remember, the oldest count for all', async (t) => {
  const purged = new PurgeLog(60_000, 3);
  const claim = (value: string) => ({ claim: 'sub', value }) as const;
  const covered = (sub: string, asked: number) => purged.covers('k', { sub }, asked);
  for (let i = 1; i <= 5; i++) purged.add({ which: claim(`u${i}`), at: i * 10_000 }, [], i * 10_000);
  t.equal(purged.size, 3);
  t.ok(covered('u5', 50_000) && covered('u5', 52_000), 'also where clocks are two seconds apart');
  t.notOk(covered('u5', 52_001));
  t.notOk(covered('other', 25_000));
  t.ok(covered('other', 20_000), 'the second was the last that is not remembered');
  t.ok(covered('other', 22_000));
  t.notOk(covered('other', 22_001));
  purged.add({ which: { token: 't' }, at: 60_000 }, ['k'], 60_000);
  t.ok(covered('other', 60_000), 'by its key');
  purged.add({ which: claim('u9'), at: 200_000 }, [], 200_000);
  t.equal(purged.size, 1, 'forgotten when no answer of before is left');
  purged.add({ which: claim('u9'), at: 100_000 }, [], 200_000);
  t.ok(covered('u9', 200_000), 'the latest counts');
});

t.test('a DPoP proof is taken once by all gateways together', async (t) => {
  if (!available(t, 'redis')) return;
  const { redis, gateway, clock } = await start(t);
  const [one, two, alone] = [
    await gateway({}, { enabled: true }),
    await gateway({}, { enabled: true }),
    await gateway({}, { enabled: true, replays: 'own' }),
  ];
  const prove = (jti: string = randomUUID()): Promise<string> =>
    key.prove({ uri: 'http://gate.example/x', token: 'bound', now: clock.wall() }, { jti });
  const proof = await prove('the-jti');
  t.equal((await show(one, proof)).status, 200);
  const replayed = await show(two, proof);
  t.equal(replayed.status, 401);
  t.match(replayed.headers['www-authenticate'], /error="invalid_dpop_proof"/);
  t.match(replayed.reason, /used before/);
  t.equal((await show(two, await prove())).status, 200);
  t.equal((await show(alone, proof)).status, 200, 'but where each goes by itself');

  const proofs = await Promise.all(Array.from({ length: 8 }, () => prove()));
  const together = await Promise.all(proofs.flatMap((each) => [show(one, each), show(two, each)]));
  t.equal(
    together.filter(({ status }) => status === 200).length,
    proofs.length,
    'of two at once one gets through',
  );

  const names = [...(await redis.all()).keys()].filter((name) => name.startsWith('scopegate:proof:'));
  t.equal(names.length, 2 + proofs.length);
  t.notMatch(JSON.stringify([...(await redis.all())]), new RegExp(`the-jti|${key.jkt}`));
  const lives = await Promise.all(names.map((name) => redis.life(name)));
  t.ok(
    lives.every((life) => life > 50_000 && life <= 65_000),
    `${lives}`,
  );
  await purge(one, { all: true });
  t.equal((await show(two, proof)).status, 401, 'a purge forgets answers, and no proof');

  await status(one, 'secret-token');
  await redis.call('CONFIG', 'RESETSTAT');
  for (let i = 0; i < 5; i++) t.equal(await status(one, 'secret-token'), 200);
  t.notMatch(
    String(await redis.call('INFO', 'commandstats')),
    /cmdstat_(set|get|getrange):/,
    'a hit asks for nothing',
  );
});
