import fc from 'fast-check';
import t from 'tap';
import { KeySetCache } from '../../src/outbound/key-sets.js';
import { fakeClock } from '../clock.js';

const URL = 'https://as.example/keys';
const SET = JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA', kid: 'k' }] });
const HOUR = 3_600_000;

type Step = { advance: number } | { ask: 'current' | 'again' } | { up: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ advance: fc.constantFrom(1, 1_999, 2_000, 9_999, 10_000, 299_999, 300_000, HOUR) }),
  fc.record({ ask: fc.constantFrom('current' as const, 'again' as const) }),
  fc.record({ up: fc.boolean() }),
);

t.test('a key set is never asked for too often, and never used too long', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
      const clock = fakeClock();
      let up = true;
      let lastRead: number | undefined;
      let lastGood: number | undefined;
      let lastTried = Number.NEGATIVE_INFINITY;
      const store = new KeySetCache(async () => {
        const now = clock.monotonic();
        if (lastRead !== undefined && now - lastRead < 2_000)
          throw new Error(`read after ${now - lastRead} ms`);
        lastRead = now;
        lastTried = now;
        if (!up) return { ok: false, cause: 'down', retryAfter: 1 };
        lastGood = now;
        return { ok: true, body: SET };
      }, clock);
      for (const each of steps) {
        if ('advance' in each) clock.advance(each.advance);
        else if ('up' in each) up = each.up;
        else {
          const before = lastTried;
          const found = await store[each.ask](URL);
          // A look in the background ends before the next step.
          await new Promise((resolve) => setImmediate(resolve));
          const age = lastGood === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() - lastGood;
          if (found === undefined) t.ok(each.ask === 'again' && age < 10_000);
          else if (found.ok) t.ok(age < HOUR, 'keys in use are younger than an hour');
          else
            t.ok(found.retryAfter >= 1 && (each.ask === 'again' || age >= HOUR), 'only without keys to use');
          if (each.ask === 'current' && age < 300_000 && lastTried !== before) t.ok(found?.ok);
        }
      }
    }),
    { numRuns: 300 },
  );
});

t.test('all that wait share one look', async (t) => {
  let reads = 0;
  let answer: (value: { ok: true; body: string }) => void = () => {};
  const store = new KeySetCache(() => {
    reads++;
    return new Promise((resolve) => {
      answer = resolve;
    });
  }, fakeClock());
  const waiting = [store.current(URL), store.again(URL), store.current(URL)];
  answer({ ok: true, body: SET });
  for (const found of await Promise.all(waiting)) t.ok(found?.ok);
  t.equal(reads, 1);
});
