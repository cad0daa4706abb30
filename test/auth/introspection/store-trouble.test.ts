import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Seal } from '../../../src/auth/introspection/seal.js';
import { slotOf } from '../../../src/outbound/redis/cluster.js';
import { ask } from '../../ask.js';
import { startChild } from '../../child.js';
import { apiRule, rule } from '../../gateway.js';
import { startIntrospection } from '../../introspection.js';
import { available } from '../../require.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { startUpstream } from '../../upstream.js';
import { purge, source, startFleet, status } from './fleet.js';
import { startRedis, startSentinels } from './redis.js';
import { answers, key, show, start } from './shared-cache-setup.js';

t.test('nothing that others wrote is believed; keys are replaced one gateway at a time', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, redis, gateway, keyFile, newKeyFile, clock } = await start(t);
  const one = await gateway();
  await until(async () => {
    for (const token of ['secret-token', 'write']) await status(one, token);
    return (await redis.all()).size === 2;
  });
  const rotated = await gateway({ keyFile: newKeyFile, previousKeyFile: keyFile });
  t.equal(await status(rotated, 'secret-token'), 200);
  t.equal(source(rotated), 'shared', 'the old key still reads');
  const [[first, value], [second, other]] = [...(await redis.all())] as [[string, string], [string, string]];
  const good = Buffer.from(value, 'base64');
  for (const [what, bad] of [
    ['garbage', 'x'],
    ['nothing', ''],
    [
      'plain JSON',
      JSON.stringify({ until: clock.wall() * 1000 + 60_000, claims: { active: true, scope: 'read' } }),
    ],
    ['one bit', Buffer.from(good.map((byte, i) => (i === 20 ? byte ^ 1 : byte))).toString('base64')],
    ['a short tag', good.subarray(0, -4).toString('base64')],
    ['another name’s value', undefined],
  ] as const) {
    const put = new Map([
      [first, bad ?? other],
      [second, bad ?? value],
    ]);
    for (const [name, text] of put) await redis.set(name, text);
    const gate = await gateway();
    t.equal(await status(gate, 'write'), 403, what);
    t.equal(source(gate), 'miss', `${what}: the server was asked`);
    await until(async () => {
      // An answer during which the fixture's purge comes around is not kept: the next one is.
      await status(gate, 'write');
      return [...(await redis.all())].some(([name, text]) => put.get(name) !== text);
    });
  }
  const stranger = await gateway({ keyFile: newKeyFile });
  await status(stranger, 'secret-token');
  t.equal(source(stranger), 'miss', 'another key reads nothing');
  t.ok(server.asked.length > 0);
});

t.test('while the key is replaced, a purge reaches gateways with either key', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, redis, gateway, keyFile, newKeyFile } = await start(t);
  const failures = async (gate: { readonly adminUrl: string }): Promise<number> => {
    const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
    return Number(/^scopegate_shared_cache_failures_total (\d+)$/m.exec(metrics)?.[1]);
  };
  const fresh = (): string => {
    const token = randomBytes(8).toString('hex');
    server.tokens.set(token, { scope: 'read' });
    return token;
  };
  const before = await gateway({ previousKeyFile: newKeyFile });
  const after = await gateway({ keyFile: newKeyFile, previousKeyFile: keyFile });
  for (const [one, other, what] of [
    [after, before, 'from the new key'],
    [before, after, 'from the old key'],
  ] as const) {
    const revoked = fresh();
    for (const gate of [one, other]) {
      t.equal(await status(gate, revoked), 200);
      t.equal(await status(gate, 'short'), 200);
    }
    server.tokens.delete(revoked);
    t.match(await purge(one, { token: revoked }), { told: true });
    await until(async () => (await status(other, revoked)) === 401);
    t.equal(await status(other, 'short'), 200);
    t.equal(source(other), 'hit', `${what}: other tokens stay`);
    t.equal(await failures(other), 0, `${what}: all could be read`);
  }

  // A gateway that was forgotten: it has the old key alone, or the new one alone.
  for (const more of [{}, { keyFile: newKeyFile }]) {
    const alone = await gateway(more);
    const revoked = fresh();
    t.equal(await status(alone, revoked), 200);
    server.tokens.delete(revoked);
    t.match(await purge(after, { token: revoked }), { told: true });
    await until(async () => (await status(alone, revoked)) === 401);
    t.ok((await failures(alone)) > 0, 'a message that it cannot read is counted');
  }
  const [old, strange] = [await gateway(), await gateway({ keyFile: newKeyFile })];
  const revoked = fresh();
  t.equal(await status(old, revoked), 200);
  server.tokens.delete(revoked);
  t.match(await purge(strange, { token: revoked }), { told: true });
  await until(async () => (await status(old, revoked)) === 401);
  t.ok(old.log.some(({ cause }) => /^message: no configured key decrypts it/.test(String(cause))));
  await redis.call('PUBLISH', 'scopegate:revoked', 'x');
  t.equal(await status(old, 'short'), 200);
});

t.test('a store that is slow, gone, or full of nonsense denies and delays nothing', async (t) => {
  if (!available(t, 'redis')) return;
  const { server, redis, gateway, clock } = await start(t);
  const gate = await gateway({ timeout: '20ms' });
  const fresh = (): string => {
    const token = `t${server.tokens.size}`;
    server.tokens.set(token, { scope: 'read' });
    return token;
  };
  t.equal(await status(gate, fresh()), 200);
  redis.stall();
  for (let i = 0; i < 30; i++) t.equal(await status(gate, fresh()), 200, 'stalled');
  const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  t.match(metrics, /^scopegate_shared_cache_failures_total [3-6]$/m, 'few waited for it, then nobody');
  redis.goOn();
  await redis.stop();
  clock.advance(5_000);
  for (let i = 0; i < 10; i++) t.equal(await status(gate, fresh()), 200, 'gone');
  t.match(await purge(gate, { token: 't1' }), { told: false }, 'whoever purges is told that nobody heard');
  await until(() =>
    gate.log.some(({ msg, level }) => level === 50 && /^cache purged here alone/.test(String(msg))),
  );
  await redis.restart();
  await until(async () => {
    clock.advance(5_000);
    const token = fresh();
    t.equal(await status(gate, token), 200);
    return (await redis.all()).size > 0;
  });
  await until(async () => {
    clock.advance(5_000);
    await status(gate, fresh());
    return gate.log.some(({ msg }) => msg === 'the shared cache works again');
  });
  const changes = gate.log.filter(({ msg }) => /^the shared cache/.test(String(msg)));
  t.match(changes.at(-1), { level: 30, lastedMs: Number });
  t.match(changes.at(-2), { level: 40, msg: /^the shared cache fails/ });
});

t.test('without the store a gateway remembers proofs itself, or takes none', async (t) => {
  if (!available(t, 'redis')) return;
  const { redis, gateway, clock } = await start(t);
  const one = await gateway({}, { enabled: true });
  const strict = await gateway({}, { enabled: true, replays: 'required' });
  const prove = (): Promise<string> =>
    key.prove({ uri: 'http://gate.example/x', token: 'bound', now: clock.wall() });
  for (const gate of [one, strict]) t.equal((await show(gate, await prove())).status, 200);
  await redis.stop();
  const proof = await prove();
  t.equal((await show(one, proof)).status, 200);
  t.equal((await show(one, proof)).status, 401, 'still once at each');
  const metrics = await (await fetch(`${one.adminUrl}/metrics`)).text();
  t.match(metrics, /scopegate_dpop_proofs_unshared_total 1\n/);
  for (let i = 0; i < 5; i++) {
    const reply = await show(strict, await prove());
    t.equal(reply.status, 503);
    t.match(reply.headers['retry-after'], /^[1-9]/);
  }
  t.equal(await status(strict, 'secret-token'), 200, 'tokens that are bound to nothing go on');
  await redis.restart();
  await until(async () => {
    clock.advance(5_000);
    return (await show(strict, await prove())).status === 200;
  });
});

t.test(
  'over TLS only the store that its authority vouches for is trusted, with its user’s password',
  async (t) => {
    if (!available(t, 'redis')) return;
    const [own, other] = [await makeCertificate(['127.0.0.1']), await makeCertificate(['127.0.0.1'])];
    const redis = await startRedis(t, { tls: own, lines: ['requirepass admin'], password: 'admin' });
    const rights = ['on', '>hunter2', '~scopegate:*', '&scopegate:*', '+@all'];
    await redis.call('ACL', 'SETUSER', 'gate', ...rights);
    const files = t.testdir({ own: own.ca, other: other.ca, password: 'hunter2', wrong: 'hunter3' });
    const { server, gateway } = await startFleet(
      t,
      { url: redis.url, ca: join(files, 'own'), username: 'gate', passwordFile: join(files, 'password') },
      { good: { scope: 'read' } },
    );
    const one = await gateway();
    t.equal(await status(one, 'good'), 200);
    await until(async () => answers(await redis.all()).length === 1);
    t.equal(await status(await gateway(), 'good'), 200);
    t.equal(server.asked.length, 1);
    for (const [more, code] of [
      [{ ca: join(files, 'other') }, /^SELF_SIGNED_CERT_IN_CHAIN$/],
      [{ passwordFile: join(files, 'wrong') }, /^WRONGPASS$/],
    ] as const) {
      const stranger = await gateway(more, {}, false);
      await until(() => stranger.log.some(({ msg }) => msg === 'shared cache failed'));
      const causes = stranger.log
        .filter(({ msg }) => msg === 'shared cache failed')
        .map(({ cause }) => cause);
      t.match(causes[0], code, 'a code, and not what the library says');
      t.equal(await status(stranger, 'good'), 200);
      t.equal(source(stranger), 'miss', JSON.stringify(Object.keys(more)));
      t.match(await purge(stranger, { token: 'good' }), { told: false });
      t.notMatch(JSON.stringify(stranger.log), /hunter/);
    }
  },
);

t.test('sentinels say where the store is; each gets its own password', async (t) => {
  if (!available(t, 'redis')) return;
  const { master, sentinels } = await startSentinels(t, 0, 1);
  const passwords = t.testdir({ store: 'store-password', sentinel: 'sentinel-password' });
  const sentinel = {
    nodes: ['redis://127.0.0.1:1', ...sentinels.map(({ url }) => url)],
    master: 'main',
    database: 3,
    passwordFile: join(passwords, 'sentinel'),
  };
  const { server, gateway } = await startFleet(
    t,
    { sentinel, passwordFile: join(passwords, 'store') },
    { good: { scope: 'read', sub: 'alice' } },
  );
  const [one, two] = [await gateway(), await gateway()];
  t.equal(await status(one, 'good'), 200);
  await until(async () => String(await master.call('INFO', 'keyspace')).includes('db3:keys=1'));
  t.equal(await status(two, 'good'), 200);
  t.equal(source(two), 'shared');
  t.equal(server.asked.length, 1);
  server.tokens.delete('good');
  t.match(await purge(one, { sub: 'alice' }), { told: true });
  await until(async () => (await status(two, 'good')) === 401);
  t.notMatch(JSON.stringify([one.log, two.log]), /-password/);
});

t.test('the slot of a name is the cluster’s', async (t) => {
  // The specification's own examples, and what `CLUSTER KEYSLOT` says.
  for (const [name, slot] of [
    ['123456789', 0x31c3],
    ['foo', 12_182],
    ['{foo}bar', 12_182],
    ['x{foo}{bar}', 12_182],
    ['', 0],
  ] as const) {
    t.equal(slotOf(name), slot, name);
  }
  t.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
  t.not(slotOf('foo{}{bar}'), slotOf('bar'));
});

t.test('what a secret seals, the key alone does not open', async (t) => {
  const key = randomBytes(32);
  const seal = new Seal([() => key]);
  const sealed = seal.close('text', 'here', 'token');
  t.equal(seal.open(sealed, 'here', 'token'), 'text');
  for (const [place, secret] of [
    ['here', 'other'],
    ['here', undefined],
    ['there', 'token'],
  ] as const) {
    t.equal(seal.open(sealed, place, secret), undefined);
  }
  t.equal(seal.open(seal.close('text', 'here'), 'here', 'token'), undefined);
  t.equal(new Seal([() => randomBytes(32)]).open(sealed, 'here', 'token'), undefined, 'nor the secret alone');
});

t.test('a seal opens with its key, for its place, and whole', async (t) => {
  const [a, b] = [randomBytes(32), randomBytes(32)];
  const seal = new Seal([() => a]);
  const sealed = seal.close('text', 'here');
  t.not(sealed, seal.close('text', 'here'), 'never the same twice');
  t.equal(seal.open(sealed, 'here'), 'text');
  t.equal(seal.open(sealed, 'there'), undefined);
  t.equal(new Seal([() => b]).open(sealed, 'here'), undefined);
  t.equal(new Seal([() => b, () => a]).open(sealed, 'here'), 'text');
  const bytes = Buffer.from(sealed, 'base64');
  for (let i = 0; i < bytes.length; i++) {
    const bent = Buffer.from(bytes);
    bent[i] = (bent[i] as number) ^ 1;
    t.equal(seal.open(bent.toString('base64'), 'here'), undefined, `byte ${i}`);
    t.equal(seal.open(bytes.subarray(0, i).toString('base64'), 'here'), undefined, `${i} bytes`);
  }
  const both = new Seal([() => a, () => b]).closeWithEach('text', 'here');
  t.same(
    both.map((each) => [a, b].map((known) => new Seal([() => known]).open(each, 'here'))),
    [
      ['text', undefined],
      [undefined, 'text'],
    ],
  );
  t.equal(new Seal([() => a, () => Buffer.from(a)]).closeWithEach('text', 'here').length, 1, 'one key, once');
});

t.test('the library of the store is loaded where there is one, and nowhere else', async (t) => {
  const server = await startIntrospection({ t: { scope: 'read' } });
  const upstream = await startUpstream();
  t.teardown(() => Promise.all([server.close(), upstream.close()]));
  const folder = t.testdir({ key: randomBytes(32).toString('base64') });
  /** Serves, asks and purges. @returns the packages that were loaded for it */
  const loaded = async (cache: object): Promise<string[]> => {
    const list = join(folder, `loaded-${Object.keys(cache).length}`);
    // What is imported goes through the hook, what is required is in the cache.
    const hook = `import { appendFileSync } from 'node:fs';
export async function load(url, context, next) { appendFileSync(${JSON.stringify(list)}, url + '\\n'); return next(url, context); }`;
    const spy = `import Module, { register } from 'node:module'; import { appendFileSync } from 'node:fs';
register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
process.on('exit', () => appendFileSync(${JSON.stringify(list)}, Object.keys(Module._cache).join('\\n')));`;
    const child = await startChild(
      t,
      { introspection: { url: server.url, cache }, services: { default: upstream.url } },
      apiRule('gate.example', [rule('/x', ['GET'], 'read')]),
      { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(spy)}` },
    );
    t.equal((await ask(child, '/x', { token: 't' })).status, 200);
    t.match(await purge(child, { token: 't' }), { purged: 1 });
    child.process.kill('SIGTERM');
    t.equal(await child.ended, 0);
    const packages = readFileSync(list, 'utf8').match(/(?<=\/node_modules\/)(?:@[^/]+\/)?[^/]+/g) ?? [];
    return [...new Set(packages)];
  };
  // Nobody listens there: a gateway serves without its store.
  const shared = { url: 'redis://127.0.0.1:1', keyFile: join(folder, 'key') };
  const [without, within] = await Promise.all([loaded({}), loaded({ shared })]);
  t.ok(
    without.includes('lru-cache') && without.includes('undici'),
    `${without.length} packages are known of`,
  );
  t.notOk(without.includes('@redis/client'));
  t.ok(within.includes('@redis/client'), 'it would have been seen');
});
