import t from 'tap';
import { readAnswer } from '../../../src/auth/introspection/answer.js';
import { AnswerCache, type CacheLimits } from '../../../src/auth/introspection/cache.js';
import { entrySize } from '../../../src/auth/introspection/entry-size.js';
import type { Clock } from '../../../src/model/clock.js';
import type { ActiveAnswer, Answer } from '../../../src/model/introspection.js';
import { fakeClock } from '../../clock.js';

const limits = { ttl: 60_000, negativeTtl: 5_000, maxEntries: 100, negativeMaxEntries: 10 };
const active = (more: object = {}): ActiveAnswer => ({
  active: true,
  claims: {},
  scopes: [],
  audience: [],
  ...more,
});
const inactive: Answer = { active: false };

/** The cache with the one look that these tests take at it: the answer that is there now. */
class Cache extends AnswerCache {
  readonly #clock: Clock;
  constructor(limits: CacheLimits, clock: Clock) {
    super(limits, clock);
    this.#clock = clock;
  }
  get(key: string): Answer | undefined {
    return this.find(key, this.#clock.monotonic())?.answer;
  }
}

t.test('an answer lives min(ttl, exp − now)', async (t) => {
  for (const [left, life] of [
    [undefined, 60_000],
    [3600, 60_000],
    [30, 30_000],
    [0.5, 500],
    [0, 0],
    [-5, 0],
    [-Number.MAX_VALUE, 0],
    [Number.MAX_VALUE, 60_000],
  ] as const) {
    const clock = fakeClock();
    const cache = new Cache(limits, clock);
    cache.set('k', active(left === undefined ? {} : { expiresAt: clock.wall() + left }));
    if (life > 0) {
      clock.advance(life - 1);
      t.ok(cache.get('k'), `exp in ${left} s: there after ${life - 1} ms`);
      clock.advance(1);
    }
    t.notOk(cache.get('k'), `exp in ${left} s: gone after ${life} ms`);
  }
});

t.test(
  'a token that was active is known as that until it expires, whatever became of its entry',
  async (t) => {
    const clock = fakeClock();
    const cache = new Cache(limits, clock);
    cache.set('k', active({ expiresAt: clock.wall() + 100 }));
    cache.set('for ever', active());
    cache.set('inactive', inactive);
    clock.advance(99_999);
    t.notOk(cache.get('k'), 'the entry has expired');
    t.ok(cache.peekActive('k'));
    clock.advance(1);
    t.notOk(cache.peekActive('k'));
    t.ok(cache.peekActive('for ever'));
    t.notOk(cache.peekActive('inactive'));
    t.notOk(cache.peekActive('unknown'));
    cache.set('for ever', inactive);
    t.notOk(cache.peekActive('for ever'));
  },
);

t.test('a hit does not extend a life', async (t) => {
  const clock = fakeClock();
  const cache = new Cache(limits, clock);
  cache.set('k', active());
  for (let passed = 0; passed < 60_000; passed += 1_000) {
    t.ok(cache.get('k'));
    clock.advance(1_000);
  }
  t.notOk(cache.get('k'));
});

t.test('a wall clock that steps back revives nothing and prolongs nothing', async (t) => {
  const clock = fakeClock();
  const cache = new Cache(limits, clock);
  cache.set('k', active({ expiresAt: clock.wall() + 30 }));
  clock.step(-300);
  clock.advance(29_999);
  t.ok(cache.get('k'));
  clock.advance(1);
  t.notOk(cache.get('k'));
});

t.test('an ended answer may serve a while, but not beyond its token’s end by either clock', async (t) => {
  const minute = 60_000;
  const ended = (expiresAt: number | undefined = 90) => {
    const clock = fakeClock();
    const cache = new Cache(limits, clock);
    cache.set('k', active(expiresAt === 0 ? {} : { expiresAt: clock.wall() + expiresAt }));
    clock.advance(minute);
    t.notOk(cache.get('k'));
    return { clock, stale: (within: number) => cache.stale('k', within) !== undefined };
  };
  const within = ended();
  t.ok(within.stale(10_000));
  within.clock.advance(9_999);
  t.ok(within.stale(10_000));
  within.clock.advance(1);
  t.notOk(within.stale(10_000), 'as long as it may');
  within.clock.advance(19_999);
  t.ok(within.stale(minute));
  within.clock.advance(1);
  t.notOk(within.stale(minute), 'the token has ended');

  const ahead = ended();
  ahead.clock.step(29);
  t.ok(ahead.stale(minute));
  ahead.clock.step(1);
  t.notOk(ahead.stale(minute), 'by the wall clock, which was set forward');

  const behind = ended();
  behind.clock.step(-300);
  behind.clock.advance(29_999);
  t.ok(behind.stale(minute));
  behind.clock.advance(1);
  t.notOk(behind.stale(minute), 'by the time that has passed, though the wall clock was set back');

  t.notOk(ended(0).stale(minute), 'a token whose end is unknown may have ended');
  const bad = new Cache(limits, fakeClock());
  bad.set('k', inactive);
  t.notOk(bad.stale('k', minute), 'an inactive answer is of no use');
  t.notOk(bad.stale('other', minute));
});

t.test('an inactive answer lives its own short time', async (t) => {
  const clock = fakeClock();
  const cache = new Cache(limits, clock);
  cache.set('k', inactive);
  clock.advance(4_999);
  t.same(cache.get('k'), inactive);
  clock.advance(1);
  t.notOk(cache.get('k'));
});

t.test('negativeTtl 0 keeps no inactive answer, ttl 0 no active one', async (t) => {
  const cache = new Cache({ ...limits, ttl: 0, negativeTtl: 0 }, fakeClock());
  cache.set('a', active());
  cache.set('b', inactive);
  t.same(cache.size, { active: 0, inactive: 0 });
});

t.test('a flood of inactive answers is bounded and pushes no active one out', async (t) => {
  const cache = new Cache(limits, fakeClock());
  for (let i = 0; i < 100; i++) cache.set(`good-${i}`, active());
  for (let i = 0; i < 100_000; i++) cache.set(`bad-${i}`, inactive);
  t.same(cache.size, { active: 100, inactive: 10 });
  for (let i = 0; i < 100; i++) t.ok(cache.get(`good-${i}`));
});

t.test('active answers are bounded; the least used goes first', async (t) => {
  const cache = new Cache(limits, fakeClock());
  for (let i = 0; i < 100; i++) cache.set(`k-${i}`, active());
  cache.get('k-0');
  cache.set('one more', active());
  t.ok(cache.get('k-0'));
  t.notOk(cache.get('k-1'));
});

t.test('the newest answer counts, whichever partition the one before was in', async (t) => {
  const clock = fakeClock();
  const cache = new Cache(limits, clock);
  cache.set('k', active());
  cache.set('k', inactive);
  t.same(cache.get('k'), inactive);
  cache.set('k', active());
  t.equal(cache.get('k')?.active, true);
  cache.set('k', active({ expiresAt: clock.wall() }));
  t.notOk(cache.get('k'), 'one without life left takes the place and leaves it empty');
  t.same(cache.size, { active: 0, inactive: 0 });
});

t.test('clear forgets both partitions', async (t) => {
  const cache = new Cache(limits, fakeClock());
  cache.set('a', active());
  cache.set('b', inactive);
  cache.clear();
  t.same(cache.size, { active: 0, inactive: 0 });
});

t.test('active answers are bounded in bytes as well; the least used goes first', async (t) => {
  const large = (size: number) => active({ claims: { ext: { note: 'x'.repeat(size) } } });
  const cache = new Cache({ ...limits, maxBytes: 10_000 }, fakeClock());
  for (const key of ['a', 'b', 'c']) cache.set(key, large(2_500));
  cache.get('a');
  cache.set('d', large(2_500));
  t.ok(cache.get('a'));
  t.notOk(cache.get('b'));
  t.equal(cache.evictions, 1);
  t.ok(cache.bytes <= 10_000, `${cache.bytes} bytes`);
  cache.set('e', large(20_000));
  t.notOk(cache.get('e'), 'what would not fit by itself is not kept, and pushes nothing out');
  t.equal(cache.size.active, 3);
  for (let i = 0; i < 10; i++) cache.set('bad', inactive);
  t.equal(cache.size.inactive, 1);
  cache.clear();
  t.equal(cache.bytes, 0);
});

t.test('an answer weighs what it holds, however deep', async (t) => {
  const size = (claims: Record<string, unknown>) => entrySize(active({ claims }));
  const nested = JSON.parse(`{"ext":${'['.repeat(50_000)}${']'.repeat(50_000)}}`) as Record<string, unknown>;
  t.ok(size(nested) > 50_000 * 16);
  // The first of a shape weighs its names as well.
  size({ sub: '' });
  const [narrow, wide] = ['a', '→'].map((char) => size({ sub: char.repeat(1_000) }));
  t.equal((wide ?? 0) - (narrow ?? 0), 1_000, 'a character beyond Latin-1 makes two bytes of each');
  t.ok(size({ a: { b: 1 } }) > size({ a: 1 }));
});

t.test('names weigh as much as what they name, unless many answers have the same ones', async (t) => {
  let made = 0;
  const named = (length: number, value: unknown) =>
    active({
      claims: {
        ext: Object.fromEntries(
          Array.from({ length: 200 }, () => [`${made++}`.padStart(length, 'n'), value]),
        ),
      },
    });
  const [byName, byValue] = [entrySize(named(1_000, 1)), entrySize(named(8, 'v'.repeat(1_000)))];
  t.ok(byName > 200_000 && byName < 300_000, `200 names of 1,000 characters: ${byName}`);
  t.ok(Math.abs(byName / byValue - 1) < 0.25, `200 values of 1,000 characters: ${byValue}`);
  const usual = active({ claims: { scope: 'read', sub: 'someone', client_id: 'a', custom_claim: 'x' } });
  const first = entrySize(usual);
  const next = entrySize(usual);
  t.ok(next < first - 400, `the first ${first}, then ${next}`);
  const cache = new Cache({ ...limits, maxEntries: 1e6, maxBytes: 1_000_000 }, fakeClock());
  for (let i = 0; i < 50; i++) cache.set(`k${i}`, named(1_000, 1));
  t.ok(cache.bytes <= 1_000_000 && cache.size.active < 5, `${cache.size.active} of 50 are kept`);
});

t.test('scopes and audiences weigh what their lists take', async (t) => {
  const scope = Array.from({ length: 1_000 }, (_, i) => i.toString(36)).join(' ');
  const answer = readAnswer(JSON.stringify({ active: true, scope }));
  t.ok(entrySize(answer as ActiveAnswer) > 30 * 1_000);
  const audience = readAnswer(JSON.stringify({ active: true, aud: ['a', 'b'] })) as ActiveAnswer;
  t.equal(audience.audience, audience.claims.aud, 'one list');
  entrySize(audience);
  t.ok(entrySize(audience) < 600, 'is counted once');
});
