import t from 'tap';
import { CallFailed } from '../../../src/auth/introspection/errors.js';
import { UnknownTokenLimiter } from '../../../src/auth/introspection/rate-limit.js';
import type { Answer, Asker } from '../../../src/model/introspection.js';
import { fakeClock } from '../../clock.js';
import {
  active,
  ask,
  endpoint,
  failTimes,
  last,
  limits,
  R,
  settled,
  setUp,
  warm,
} from './introspector-setup.js';

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
