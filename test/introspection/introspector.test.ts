import fc from 'fast-check';
import t from 'tap';
import type { Answer, Endpoint } from '../../src/introspection/answer.js';
import { AnswerCache } from '../../src/introspection/cache.js';
import { CallFailed } from '../../src/introspection/client.js';
import {
  createIntrospector,
  type Introspected,
  type Introspector,
} from '../../src/introspection/introspector.js';
import { fakeClock } from '../clock.js';

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

function setUp(more: Partial<typeof limits> = {}, cached = true) {
  const clock = fakeClock();
  const calls: Call[] = [];
  const failures: string[] = [];
  const cache = new AnswerCache(cacheLimits, clock);
  const introspector = createIntrospector(
    {
      call: (endpoint, token, signal) =>
        new Promise((answer, fail) => calls.push({ endpoint, token, signal, answer, fail })),
    },
    cached ? cache : undefined,
    { ...limits, ...more },
    clock,
    (_endpoint, cause) => failures.push(cause),
  );
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

t.test('law 1: the raw answer is cached, and a hit is synchronous', async (t) => {
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

t.test('law 2: another URL, other credentials, other fields or another token is another entry', async (t) => {
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

t.test('law 2: no two of URL, credentials and token run together in the key', async () => {
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

t.test('law 2: the token is kept nowhere', async (t) => {
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

t.test('law 3: after the entry’s life the server is asked again, hits or not', async (t) => {
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

t.test('law 4: one call in flight per key; everybody gets its answer', async (t) => {
  const { calls, introspector } = setUp();
  const asked = Array.from({ length: 1000 }, () => ask(introspector, 't'));
  await settled();
  t.equal(calls.length, 1);
  last(calls).answer(active);
  const answers = await Promise.all(asked);
  t.equal(answers.filter(({ trace }) => trace.from === 'miss').length, 1);
  t.equal(answers.filter(({ trace }) => trace.from === 'coalesced').length, 999);
});

t.test('law 4: also without a cache', async (t) => {
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

t.test('law 4: a failure is shared by those who wait and not cached', async (t) => {
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

t.test('law 5: concurrency and queue are bounded; what does not fit fails at once', async (t) => {
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

t.test('law 5: 100,000 random tokens: calls and memory bounded, cached good tokens still hit', async (t) => {
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

t.test('law 5: a slow server’s queue does not hold up another server', async (t) => {
  const { calls, introspector } = setUp();
  for (let i = 0; i < 10; i++) void ask(introspector, `t${i}`);
  const other = ask(introspector, 't', { ...endpoint, url: 'http://other.example/introspect' });
  await settled();
  t.equal(last(calls).endpoint.url, 'http://other.example/introspect');
  last(calls).answer(active);
  t.match(await other, { ok: true });
});

t.test('law 5: the deadline covers the wait in the queue', async (t) => {
  const { calls, introspector } = setUp({ timeout: 30, concurrency: 1 });
  void ask(introspector, 'first');
  const second = await ask(introspector, 'second');
  t.match(second, { ok: false, cause: 'waiting for introspection took too long' });
  t.equal(calls.length, 1);
});

t.test('law 5: the breaker refuses at once, cached answers go on, a probe recovers', async (t) => {
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

t.test('law 5: an answer that only this token gets does not open the breaker for the others', async (t) => {
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

t.test('law 5: Retry-After of the server reaches the client and opens the breaker', async (t) => {
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
