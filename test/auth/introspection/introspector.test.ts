import fc from 'fast-check';
import t from 'tap';
import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import { CallFailed } from '../../../src/auth/introspection/errors.js';
import {
  createIntrospector,
  type SecondTier,
  type UnknownTokenLimit,
} from '../../../src/auth/introspection/introspector.js';
import { UnknownTokenLimiter } from '../../../src/auth/introspection/rate-limit.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import type {
  ActiveAnswer,
  Answer,
  Asker,
  Introspected,
  Introspector,
} from '../../../src/model/introspection.js';
import { type FakeClock, fakeClock } from '../../clock.js';

const cacheLimits = { ttl: 60_000, negativeTtl: 5_000, maxEntries: 1000, negativeMaxEntries: 100 };
const limits = { timeout: 3_000, concurrency: 4, queue: 4, breaker: { failures: 3, openFor: 5_000 } };
const endpoint: Endpoint = { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } };
const active: Answer = { active: true, claims: {}, scopes: ['read'], audience: [] };

/** One call that the test answers. */
interface Call {
  readonly endpoint: Endpoint;
  readonly token: string;
  readonly signal: AbortSignal;
  answer(answer: Answer): void;
  fail(error: Error): void;
}

/** What only some tests are about. */
interface Parts {
  /** Milliseconds. */
  readonly refreshBefore?: number;
  readonly flood?: (clock: FakeClock) => UnknownTokenLimit;
  readonly shared?: SecondTier;
}

function setUp(more: Partial<typeof limits> = {}, cached = true, parts: Parts = {}) {
  const clock = fakeClock();
  const calls: Call[] = [];
  const failures: string[] = [];
  const cache = new AnswerCache({ ...cacheLimits, refreshBefore: parts.refreshBefore ?? 0 }, clock);
  const introspector = createIntrospector({
    client: {
      call: (endpoint, token, signal) =>
        new Promise((answer, fail) => calls.push({ endpoint, token, signal, answer, fail })),
    },
    cache: cached ? cache : undefined,
    limits: { ...limits, ...more },
    clock,
    onFailure: (_endpoint, cause) => failures.push(cause),
    unknownTokens: parts.flood?.(clock),
    shared: parts.shared,
  });
  return { clock, calls, cache, failures, introspector };
}

function last(calls: readonly Call[]): Call {
  return calls.at(-1) as Call;
}

/** Lets everything that is ready to run, run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

async function ask(introspector: Introspector, token: string, of = endpoint): Promise<Introspected> {
  return introspector.introspect(of, token);
}

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

/** Answers are asked for again in the last ten of their sixty seconds. */
const R = 10_000;

/** One whose token was asked about, answered and, unless the test wants it otherwise, used once. */
async function warm(parts: Parts = {}, more: Partial<typeof limits> = {}, answer: Answer = active, uses = 1) {
  const set = setUp(more, true, { refreshBefore: R, ...parts });
  const asked = ask(set.introspector, 't');
  await settled();
  last(set.calls).answer(answer);
  await asked;
  const hit = (token = 't', asker?: Asker): void => {
    const result = set.introspector.introspect(endpoint, token, asker);
    if (result instanceof Promise || result.trace.from !== 'hit' || !result.ok) throw new Error('no hit');
  };
  for (let i = 0; i < uses; i++) hit();
  return { ...set, hit };
}

t.test('a used answer is asked for again shortly before its end, once, and nobody waits', async (t) => {
  const { clock, calls, introspector, hit } = await warm();
  clock.advance(60_000 - R - 1);
  hit();
  t.equal(calls.length, 1, 'not before its time');
  clock.advance(1);
  for (let i = 0; i < 100; i++) hit();
  await settled();
  for (let i = 0; i < 100; i++) hit();
  t.equal(calls.length, 2, 'one call, however many hits');
  const newer = { ...active, scopes: ['write'] };
  last(calls).answer(newer);
  await settled();
  const answered = introspector.introspect(endpoint, 't');
  t.match(answered, { ok: true, answer: newer, trace: { from: 'hit', ms: 0 } });
  clock.advance(59_999);
  hit();
  await settled();
  t.equal(calls.length, 3, 'its successor lives from then on, and is asked for again in its turn');
  t.same(introspector.refreshes, { active: 1, inactive: 0, failed: 0, shared: 0, skipped: 0 });
});

t.test('an answer that nobody has used, or that its token ends, is not asked for again', async (t) => {
  for (const [what, { refreshBefore = R, answer = active, uses = 1, more = 50 }] of Object.entries({
    'nobody has used it': { uses: 0, more: 1 },
    'exp is its end': { answer: { ...active, expiresAt: fakeClock().wall() + 60 } },
    'exp is its end, sooner': { answer: { ...active, expiresAt: fakeClock().wall() + 55 } },
    'it is off': { refreshBefore: 0 },
  } as Record<string, { refreshBefore?: number; answer?: Answer; uses?: number; more?: number }>)) {
    const { clock, calls, introspector, hit } = await warm({ refreshBefore }, {}, answer, uses);
    clock.advance(54_000);
    for (let i = 0; i < more; i++) hit();
    await settled();
    t.equal(calls.length, 1, what);
    t.equal(introspector.refreshes.skipped, 0, what);
  }
  const later = { ...active, expiresAt: fakeClock().wall() + 60.001 };
  const { clock, calls, hit } = await warm({}, {}, later);
  clock.advance(54_000);
  hit();
  await settled();
  t.equal(calls.length, 2, 'the token outlives the entry');
  const { calls: asked, clock: time, introspector } = setUp({}, true, { refreshBefore: R });
  void ask(introspector, 'bad');
  await settled();
  last(asked).answer({ active: false });
  await settled();
  for (let i = 0; i < 49; i++) {
    time.advance(100);
    t.match(introspector.introspect(endpoint, 'bad'), { trace: { from: 'hit' } });
  }
  await settled();
  t.equal(asked.length, 1, 'an inactive answer is never asked for again');
});

t.test('an inactive answer ends the entry at once', async (t) => {
  const { clock, calls, cache, introspector, hit } = await warm();
  clock.advance(55_000);
  hit();
  await settled();
  hit();
  last(calls).answer({ active: false });
  await settled();
  t.match(introspector.introspect(endpoint, 't'), { ok: true, answer: { active: false } });
  t.same(cache.size, { active: 0, inactive: 1 });
  t.match(introspector.refreshes, { active: 0, inactive: 1 });
});

t.test('a refresh that fails leaves the entry to its end and no longer', async (t) => {
  const { clock, calls, failures, introspector, hit } = await warm();
  clock.advance(50_000);
  hit();
  await settled();
  last(calls).fail(new CallFailed('the authorization server answered 500'));
  await settled();
  for (let i = 0; i < 10; i++) {
    hit();
    clock.advance(999);
  }
  await settled();
  t.equal(calls.length, 2, 'no second attempt');
  t.same(failures, ['the authorization server answered 500'], 'it is told');
  clock.advance(10);
  t.ok(introspector.introspect(endpoint, 't') instanceof Promise, 'the end came when it had to');
  t.match(introspector.refreshes, { active: 0, failed: 1 });
});

t.test('a request that comes after the end waits for the refresh that is under way', async (t) => {
  const { clock, calls, introspector, hit } = await warm();
  clock.advance(59_000);
  hit();
  await settled();
  clock.advance(1_000);
  const waiting = ask(introspector, 't');
  await settled();
  t.equal(calls.length, 2);
  last(calls).answer(active);
  t.match(await waiting, { ok: true, trace: { from: 'coalesced' } });
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

t.test('while the breaker is open, a request is refused without a wait', async (t) => {
  const { calls, introspector } = setUp({ concurrency: 1, queue: 1 });
  for (let i = 0; i < 3; i++) {
    const failing = introspector.introspect(endpoint, `t${i}`);
    await settled();
    last(calls).fail(new CallFailed('connection refused'));
    await failing;
  }
  const cause = 'the circuit breaker is open';
  t.match(introspector.introspect(endpoint, 'new'), { ok: false, cause, trace: { from: 'failed', ms: 0 } });
  const crowded = setUp({ concurrency: 1, queue: 1 });
  const [running, waiting] = ['a', 'b'].map((token) => crowded.introspector.introspect(endpoint, token));
  const refused = crowded.introspector.introspect(endpoint, 'c');
  t.match(refused, { ok: false, cause: 'too many introspection calls are waiting', retryAfter: 1 });
  t.ok(crowded.introspector.introspect(endpoint, 'b') instanceof Promise, 'who may wait waits');
  for (const served of [running, waiting]) {
    await settled();
    last(crowded.calls).answer(active);
    await served;
  }
});

t.test('what a refresh brings is not kept where it was forgotten since', async (t) => {
  for (const which of ['all', { token: 't' }, { claim: 'sub', value: 'alice' }] as const) {
    const { clock, calls, cache, introspector, hit } = await warm();
    clock.advance(55_000);
    hit();
    await settled();
    introspector.forget(which);
    const kept = cache.size.active;
    last(calls).answer({ ...active, scopes: ['what was so before'] });
    await settled();
    t.equal(cache.size.active, kept, JSON.stringify(which));
    clock.advance(5_000);
    const next = ask(introspector, 't');
    await settled();
    t.equal(calls.length, 3, 'asked anew');
    last(calls).answer(active);
    t.match(await next, { ok: true, answer: active, trace: { from: 'miss' } });
  }
});

t.test('a refresh gives way to a server in trouble, and to requests that wait', async (t) => {
  const { clock, calls, introspector, hit } = await warm();
  clock.advance(55_000);
  await failTimes(introspector, calls, 3);
  const before = calls.length;
  hit();
  hit();
  await settled();
  t.equal(calls.length, before, 'the breaker is open');
  t.equal(introspector.refreshes.skipped, 1, 'and not even looked at by every hit');
  clock.advance(1_000);
  hit();
  t.equal(introspector.refreshes.skipped, 2);
  clock.advance(3_999);
  hit();
  await settled();
  t.equal(calls.length, before, 'nor is the probe of an open breaker one');
  t.match(introspector.refreshes, { active: 0, failed: 0 });

  const busy = await warm();
  busy.clock.advance(55_000);
  for (let i = 0; i < limits.concurrency; i++) void ask(busy.introspector, `slow-${i}`);
  await settled();
  const running = busy.calls.length;
  busy.hit();
  await settled();
  t.equal(busy.calls.length, running, 'all calls that may be are in flight');
  last(busy.calls).answer(active);
  await settled();
  busy.clock.advance(1_000);
  busy.hit();
  await settled();
  t.equal(busy.calls.length, running + 1, 'a later hit tries again');
  void ask(busy.introspector, 'late');
  await settled();
  t.equal(busy.calls.length, running + 1, 'a refresh takes a place like any call');
});

t.test('a refresh counts as a question of the client whose hit it is', async (t) => {
  const asker: Asker = { fields: {} as Asker['fields'] };
  const { clock, calls, introspector, hit } = await warm({
    flood: (clock) => ({
      limiter: new UnknownTokenLimiter({ badTokens: 2, per: 60_000, maxClients: 10 }, clock),
      addressOf: () => '192.0.2.1',
    }),
  });
  clock.advance(51_000);
  const inactive = async () => {
    await settled();
    last(calls).answer({ active: false });
    await settled();
  };
  hit('t', asker);
  await inactive();
  void introspector.introspect(endpoint, 'bad', asker);
  await inactive();
  t.match(await introspector.introspect(endpoint, 'worse', asker), { limited: true }, 'two bad ones');

  // Another client's token, warm and due, in the hands of one who may not ask.
  void introspector.introspect(endpoint, 'good');
  await settled();
  last(calls).answer(active);
  await settled();
  hit('good');
  clock.advance(51_000);
  for (const token of ['b1', 'b2']) {
    void introspector.introspect(endpoint, token, asker);
    await inactive();
  }
  const before = calls.length;
  hit('good', asker);
  await settled();
  t.equal(calls.length, before);
  t.equal(introspector.refreshes.skipped, 1);
  clock.advance(1_000);
  hit('good');
  await settled();
  t.equal(calls.length, before + 1, 'another one may');
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

t.test('a client with too many unknown tokens is told when it may come again, in seconds', async (t) => {
  const asker: Asker = { fields: {} as Asker['fields'] };
  const { clock, calls, introspector } = setUp({}, true, {
    flood: (clock) => ({
      limiter: new UnknownTokenLimiter({ badTokens: 2, per: 60_000, maxClients: 10 }, clock),
      addressOf: () => '192.0.2.1',
    }),
  });
  for (const token of ['a', 'b']) {
    void introspector.introspect(endpoint, token, asker);
    await settled();
    last(calls).answer({ active: false });
    await settled();
  }
  const limited = () => introspector.introspect(endpoint, 'c', asker);
  t.match(await limited(), { ok: false, limited: true, retryAfter: 30 });
  clock.advance(28_500);
  t.match(await limited(), { limited: true, retryAfter: 2 }, 'rounded up');
  clock.advance(1_499);
  t.match(await limited(), { limited: true, retryAfter: 1 });
  clock.advance(1);
  t.ok(limited() instanceof Promise);
  await settled();
  t.equal(calls.length, 3);
});

t.test('one call in flight per key; everybody gets its answer', async (t) => {
  const { calls, introspector } = setUp();
  const asked = Array.from({ length: 1000 }, () => ask(introspector, 't'));
  await settled();
  t.equal(calls.length, 1);
  last(calls).answer(active);
  const answers = await Promise.all(asked);
  t.equal(answers.filter(({ trace }) => trace.from === 'miss').length, 1);
  t.equal(answers.filter(({ trace }) => trace.from === 'coalesced').length, 999);
});

t.test('one call in flight per key, also without a cache', async (t) => {
  const { calls, introspector } = setUp({}, false);
  const asked = [ask(introspector, 't'), ask(introspector, 't')];
  await settled();
  t.equal(calls.length, 1);
  last(calls).answer(active);
  await Promise.all(asked);
  void ask(introspector, 't');
  await settled();
  t.equal(calls.length, 2);
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

t.test('a failure is shared by those who wait and not cached', async (t) => {
  const { calls, failures, introspector } = setUp();
  const asked = Array.from({ length: 100 }, () => ask(introspector, 't'));
  await settled();
  last(calls).fail(new CallFailed('the introspection call failed (ECONNREFUSED)'));
  for (const result of await Promise.all(asked)) t.match(result, { ok: false, trace: { from: 'failed' } });
  t.equal(failures.length, 1, 'told once');
  const again = ask(introspector, 't');
  await settled();
  t.equal(calls.length, 2, 'asked again at once');
  last(calls).answer(active);
  t.match(await again, { ok: true });
});

t.test('concurrency and queue are bounded; what does not fit fails at once', async (t) => {
  const { calls, introspector } = setUp();
  const asked = Array.from({ length: 10 }, (_, i) => ask(introspector, `t${i}`));
  await settled();
  t.equal(calls.length, 4);
  t.match(await Promise.all(asked.slice(8)), [
    { ok: false, retryAfter: 1 },
    { ok: false, retryAfter: 1 },
  ]);
  while (calls.some((call) => !answered.has(call))) {
    for (const call of calls) if (!answered.has(call)) answered.add(call.answer(active) ?? call);
    await settled();
  }
  t.equal(calls.length, 8);
  for (const result of await Promise.all(asked.slice(0, 8))) t.ok(result.ok);
});
const answered = new Set<unknown>();

t.test('100,000 random tokens: calls and memory bounded, cached good tokens still hit', async (t) => {
  const { calls, cache, introspector } = setUp();
  const warm = ask(introspector, 'good');
  await settled();
  last(calls).answer(active);
  await warm;
  let told = 0;
  for (let i = 0; i < 100_000; i++) {
    void introspector.introspect(endpoint, `random-${i}`);
    if (i % 100 !== 0) continue;
    const before = calls.length;
    t.match(introspector.introspect(endpoint, 'good'), { trace: { from: 'hit' } });
    await settled();
    if (calls.length - told > 4) t.fail(`${calls.length - told} calls at once`);
    for (; told < before; told++) (calls[told] as Call).answer({ active: false });
    await settled();
  }
  t.ok(cache.size.inactive <= 100);
  t.equal(cache.size.active, 1);
});

t.test('a slow server’s queue does not hold up another server', async (t) => {
  const { calls, introspector } = setUp();
  for (let i = 0; i < 10; i++) void ask(introspector, `t${i}`);
  const other = ask(introspector, 't', { ...endpoint, url: 'http://other.example/introspect' });
  await settled();
  t.equal(last(calls).endpoint.url, 'http://other.example/introspect');
  last(calls).answer(active);
  t.match(await other, { ok: true });
});

t.test('the deadline covers the wait in the queue', async (t) => {
  const { calls, introspector } = setUp({ timeout: 30, concurrency: 1 });
  void ask(introspector, 'first');
  const second = await ask(introspector, 'second');
  t.match(second, { ok: false, cause: 'waiting for introspection took too long' });
  t.equal(calls.length, 1);
});

t.test('the breaker refuses at once, cached answers go on, a probe recovers', async (t) => {
  const { clock, calls, introspector } = setUp();
  const warm = ask(introspector, 'warm');
  await settled();
  last(calls).answer(active);
  await warm;
  await failTimes(introspector, calls, 3);
  const before = calls.length;
  t.match(await ask(introspector, 'new'), { ok: false, cause: 'the circuit breaker is open', retryAfter: 5 });
  t.equal(calls.length, before, 'nobody was asked');
  t.match(introspector.introspect(endpoint, 'warm'), { trace: { from: 'hit' } });
  clock.advance(4_100);
  t.match(await ask(introspector, 'new'), { ok: false, retryAfter: 1 }, 'whole seconds, rounded up');
  clock.advance(900);
  const probe = ask(introspector, 'new');
  await settled();
  t.equal(calls.length, before + 1);
  t.match(await ask(introspector, 'another'), { ok: false }, 'one probe at a time');
  last(calls).answer(active);
  t.match(await probe, { ok: true });
  void ask(introspector, 'another');
  await settled();
  t.equal(calls.length, before + 2, 'closed again');
});

t.test('a call that could not even be made does not open the breaker', async (t) => {
  const { clock, calls, introspector } = setUp();
  const unasked = async () => {
    const failing = ask(introspector, `t${calls.length}`);
    await settled();
    last(calls).fail(new CallFailed('the introspection call failed (EMFILE)', { unasked: true }));
    return failing;
  };
  for (let i = 0; i < 5; i++) t.match(await unasked(), { ok: false, trace: { from: 'failed' } });
  t.match(introspector.servers(), [{ breaker: 'closed', running: 0 }]);
  await failTimes(introspector, calls, 3);
  clock.advance(5_000);
  await unasked();
  t.match(introspector.servers(), [{ breaker: 'half-open' }], 'the probe has said nothing');
  const probe = ask(introspector, 'probe');
  await settled();
  last(calls).answer(active);
  t.match(await probe, { ok: true });
  t.match(introspector.servers(), [{ breaker: 'closed' }]);
});

t.test('an answer that only this token gets does not open the breaker for the others', async (t) => {
  const { calls, introspector } = setUp();
  for (let i = 0; i < 20; i++) {
    const asked = ask(introspector, `odd-${i}`);
    await settled();
    last(calls).fail(new CallFailed('the introspection answer is not JSON', { alive: true }));
    t.match(await asked, { ok: false });
  }
  const good = ask(introspector, 'good');
  await settled();
  last(calls).answer(active);
  t.match(await good, { ok: true });
});

t.test('Retry-After of the server reaches the client and opens the breaker', async (t) => {
  const { clock, calls, introspector } = setUp();
  const asked = ask(introspector, 't');
  await settled();
  last(calls).fail(new CallFailed('the authorization server answered 429', { retryAfter: 30_000 }));
  t.match(await asked, { ok: false, retryAfter: 30 });
  clock.advance(10_000);
  t.match(await ask(introspector, 'u'), { ok: false, retryAfter: 20 });
});

t.test('trouble is a value: whatever a call throws, nothing is thrown at the caller', async (t) => {
  const { calls, introspector } = setUp();
  const asked = ask(introspector, 'a-secret-token');
  await settled();
  last(calls).fail(new TypeError('something quoting a-secret-token'));
  const result = await asked;
  t.match(result, { ok: false, retryAfter: 1 });
  t.notMatch(JSON.stringify(result), /a-secret-token/);
});

async function failTimes(introspector: Introspector, calls: readonly Call[], times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const asked = ask(introspector, `failing-${i}`);
    await settled();
    last(calls).fail(new CallFailed('no'));
    await asked;
  }
}
