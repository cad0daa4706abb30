import t from 'tap';
import { CallFailed } from '../../../src/auth/introspection/errors.js';
import { UnknownTokenLimiter } from '../../../src/auth/introspection/rate-limit.js';
import type { Asker } from '../../../src/model/introspection.js';
import {
  active,
  answered,
  ask,
  type Call,
  endpoint,
  failTimes,
  last,
  settled,
  setUp,
} from './introspector-setup.js';

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
