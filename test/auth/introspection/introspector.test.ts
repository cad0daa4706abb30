import fc from 'fast-check';
import t from 'tap';
import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import type { SecondTier } from '../../../src/auth/introspection/introspector.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import type { ActiveAnswer, Answer } from '../../../src/model/introspection.js';
import { active, ask, endpoint, failTimes, last, R, settled, setUp, warm } from './introspector-setup.js';

/** No other gateway is asking. */
const ALONE = { turn: async () => undefined, endTurn: () => {} };

t.test('the raw answer is cached, and a hit is synchronous', async (t) => {
  const { calls, introspector } = setUp();
  const first = introspector.introspect(endpoint, 't');
  t.ok(first instanceof Promise);
  await settled();
  last(calls).answer(active);
  t.match(await first, { ok: true, answer: active, trace: { from: 'miss' } });
  const second = introspector.introspect(endpoint, 't');
  t.notOk(second instanceof Promise);
  t.match(second, { ok: true, trace: { from: 'hit', ms: 0 } });
  t.equal((second as { answer: Answer }).answer, active, 'the very answer, nothing derived from it');
  t.equal(calls.length, 1);
});

t.test('another URL, other credentials, other fields or another token is another entry', async (t) => {
  const secret = () => 's';
  const variants: Endpoint[] = [
    endpoint,
    { ...endpoint, url: 'http://as.example/introspect?tenant=b' },
    { ...endpoint, url: 'http://other.example/introspect' },
    { ...endpoint, headers: { 'x-tenant': 'a' } },
    { ...endpoint, headers: { 'x-tenant': 'b' } },
    { ...endpoint, auth: { method: 'basic', clientId: 'a', clientSecret: secret } },
    { ...endpoint, auth: { method: 'basic', clientId: 'b', clientSecret: secret } },
    { ...endpoint, auth: { method: 'post', clientId: 'a', clientSecret: secret } },
    { ...endpoint, auth: { method: 'bearer', token: () => 'one' } },
    { ...endpoint, auth: { method: 'bearer', token: () => 'two' } },
    { ...endpoint, signed: { issuer: 'https://one.example', audience: 'gateway', algorithms: ['ES256'] } },
    { ...endpoint, signed: { issuer: 'https://two.example', audience: 'gateway', algorithms: ['ES256'] } },
  ];
  const { calls, introspector } = setUp({ concurrency: 100 });
  for (const token of ['t', 'u', 't"]']) for (const of of variants) void introspector.introspect(of, token);
  await settled();
  t.equal(calls.length, 3 * variants.length, 'one call each');
  for (const call of calls) call.answer({ ...active, claims: { token: call.token, url: call.endpoint.url } });
  await settled();
  for (const token of ['t', 'u', 't"]']) {
    for (const of of variants) {
      const hit = introspector.introspect(of, token);
      t.match(hit, { trace: { from: 'hit' }, answer: { claims: { token, url: of.url } } });
    }
  }
  void introspector.introspect({ ...endpoint }, 't');
  t.equal(calls.length, 3 * variants.length, 'an equal endpoint of another rule shares the entry');
});

t.test('no two of URL, credentials and token run together in the key', async () => {
  const part = fc.string({ unit: fc.constantFrom('a', '"', ',', '[', ']', '\\', ' '), maxLength: 4 });
  const question = fc.record({ url: part, name: part, value: part, clientId: part, token: part });
  await fc.assert(
    fc.asyncProperty(question, question, async (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other));
      const { calls, introspector } = setUp();
      for (const { url, name, value, clientId, token } of [one, other]) {
        const auth = { method: 'basic', clientId, clientSecret: () => 's' } as const;
        void introspector.introspect({ url, headers: { [name]: value }, auth }, token);
      }
      await settled();
      return calls.length === 2;
    }),
    { numRuns: 500 },
  );
});

t.test('the token is kept nowhere', async (t) => {
  const { calls, cache, introspector } = setUp();
  const token = 'a-token-that-nothing-keeps';
  const asked = introspector.introspect(endpoint, token);
  await settled();
  const keys: string[] = [];
  const { set } = AnswerCache.prototype;
  t.teardown(() => {
    AnswerCache.prototype.set = set;
  });
  AnswerCache.prototype.set = function (key, answer) {
    keys.push(key);
    return set.call(this, key, answer);
  };
  last(calls).answer(active);
  await asked;
  t.equal(keys.length, 1);
  t.match(keys[0], /^[A-Za-z0-9+/]{43}=$/, 'a SHA-256');
  t.equal(cache.size.active, 1);
});

t.test('after the entry’s life the server is asked again, hits or not', async (t) => {
  const { clock, calls, introspector } = setUp();
  const expiresAt = clock.wall() + 10;
  void introspector.introspect(endpoint, 't');
  await settled();
  last(calls).answer({ ...active, expiresAt });
  await settled();
  for (let i = 0; i < 9; i++) {
    clock.advance(1_000);
    t.match(introspector.introspect(endpoint, 't'), { trace: { from: 'hit' } });
  }
  clock.advance(1_000);
  void introspector.introspect(endpoint, 't');
  await settled();
  t.equal(calls.length, 2);
});

t.test('what a call brings is kept although another token was forgotten meanwhile', async (t) => {
  const { calls, introspector } = setUp();
  const first = introspector.introspect(endpoint, 't');
  await settled();
  introspector.forget({ token: 'another' });
  last(calls).answer(active);
  await first;
  t.match(await introspector.introspect(endpoint, 't'), { ok: true, trace: { from: 'hit' } });
  t.equal(calls.length, 1);
});

t.test('a call from before a purge does not end the one after it, which others wait for', async (t) => {
  const { calls, introspector } = setUp();
  const first = ask(introspector, 't');
  await settled();
  introspector.forget('all');
  const second = ask(introspector, 't');
  await settled();
  t.equal(calls.length, 2);
  calls[0]?.answer({ ...active, scopes: ['what was so before'] });
  t.match(await first, { ok: true });
  const third = ask(introspector, 't');
  await settled();
  t.equal(calls.length, 2, 'it waits for the second call');
  calls[1]?.answer(active);
  for (const asked of [second, third]) t.match(await asked, { ok: true, answer: active });
  t.match(await ask(introspector, 't'), { ok: true, answer: active, trace: { from: 'hit' } });
});

t.test('of what other gateways have only an answer that is not about to end saves the call', async (t) => {
  const found = { answer: { ...active, scopes: ['of another gateway'] }, life: R };
  const shared: SecondTier = { get: async () => (ready ? found : undefined), set: () => true, ...ALONE };
  let ready = false;
  const { clock, calls, introspector, hit } = await warm({ shared });
  ready = true;
  clock.advance(50_000);
  hit();
  await settled();
  t.equal(calls.length, 2, 'as old as ours');
  last(calls).answer(active);
  await settled();
  found.life = R + 1;
  hit();
  clock.advance(50_000);
  hit();
  await settled();
  t.equal(calls.length, 2);
  t.match(introspector.introspect(endpoint, 't'), { answer: found.answer });
  clock.advance(R + 1);
  ready = false;
  void ask(introspector, 't');
  await settled();
  t.equal(calls.length, 3, 'it lives no longer than there');
  t.same(introspector.refreshes, { active: 1, inactive: 0, failed: 0, shared: 1, skipped: 0 });
});

t.test('what other gateways have is of use to the last, also while the server is not asked', async (t) => {
  const found = { answer: { ...active, scopes: ['of another gateway'] }, life: 1 };
  let known = false;
  const shared: SecondTier = { get: async () => (known ? found : undefined), set: () => true, ...ALONE };
  const { calls, introspector } = setUp({}, true, { shared });
  await failTimes(introspector, calls, 3);
  t.match(introspector.servers(), [{ breaker: 'open' }]);
  t.match(await ask(introspector, 'unknown'), { ok: false, cause: 'the circuit breaker is open' });
  known = true;
  t.match(await ask(introspector, 't'), { ok: true, answer: found.answer, trace: { from: 'shared' } });
  t.equal(calls.length, 3);
});

t.test('without a cache nothing is kept, here or elsewhere, and there is nothing to forget', async (t) => {
  const shared: SecondTier = {
    get: async () => t.fail('nobody is to be asked') as never,
    set: () => t.fail('nobody is to be told') as never,
    turn: async () => t.fail('nobody is waited for') as never,
    endTurn: () => t.fail('nobody waits'),
  };
  const { calls, introspector } = setUp({}, false, { shared });
  for (let i = 0; i < 2; i++) {
    const asked = ask(introspector, 't');
    await settled();
    last(calls).answer(active);
    t.match(await asked, { ok: true, trace: { from: 'miss' } });
  }
  t.equal(calls.length, 2);
  t.equal(introspector.forget('all'), 0);
});

t.test('who forgets is told how many answers there were', async (t) => {
  const { calls, introspector } = setUp();
  const know = async (token: string, answer: Answer): Promise<void> => {
    const asked = ask(introspector, token);
    await settled();
    last(calls).answer(answer);
    await asked;
  };
  await know('a', active);
  await know('b', { ...active, claims: { sub: 'alice' } });
  await know('c', { active: false });
  t.equal(introspector.forget({ token: 'a' }), 1);
  t.equal(introspector.forget({ token: 'a' }), 0);
  await know('a', active);
  t.equal(introspector.forget({ claim: 'sub', value: 'alice' }), 1);
  t.equal(introspector.forget('all'), 2);
  t.equal(introspector.forget('all'), 0);
});

t.test(
  'a purge while the second tier is being asked: what it had is of before, and is not used',
  async (t) => {
    const found = { answer: active as ActiveAnswer, life: 30_000 };
    for (const which of ['all', { token: 't' }, { claim: 'sub', value: 'alice' }] as const) {
      let give = (): void => {};
      let looks = 0;
      const shared: SecondTier = {
        get: () => {
          looks++;
          return new Promise((resolve) => {
            give = () => resolve(found);
          });
        },
        set: () => true,
        ...ALONE,
      };
      const { calls, cache, introspector } = setUp({}, true, { shared });
      const asked = ask(introspector, 't');
      await settled();
      t.equal(looks, 1);
      introspector.forget(which);
      give();
      await settled();
      t.equal(calls.length, 1, `${JSON.stringify(which)}: the authorization server is asked`);
      t.equal(cache.size.active, 0);
      last(calls).answer({ active: false });
      t.match(await asked, { ok: true, answer: { active: false } });
    }
  },
);
