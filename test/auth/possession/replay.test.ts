import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { ReplayCache } from '../../../src/auth/possession/replay.js';

const LIMITS = { lifetime: 10, maxProofs: 4, maxPerKey: 3 };

t.test('so many proofs of one key, and so many in all, until the oldest end', async (t) => {
  let now = 100;
  const store = new ReplayCache(LIMITS, () => now);
  for (const id of ['1', '2', '3']) t.equal(store.remember('a', id), 'new');
  t.equal(store.remember('a', '4'), 'key-full');
  t.equal(store.remember('a', '2'), 'replayed', 'which is told first');
  now += 1;
  t.equal(store.remember('b', '1'), 'new', 'the same identifier, of another key');
  t.equal(store.size, 4);
  t.equal(store.remember('c', '1'), 'full');
  t.equal(store.remember('b', '1'), 'replayed');
  now += 9;
  t.equal(store.remember('a', '1'), 'replayed', 'at the very end of its time');
  now += 0.001;
  t.equal(store.remember('a', '1'), 'new');
  t.equal(store.size, 2);
  for (const id of ['2', '3']) t.equal(store.remember('a', id), 'new', 'the places of the key are free');
  t.equal(store.remember('a', '4'), 'key-full');
  t.equal(store.remember('c', '1'), 'full');
  now += 1;
  t.equal(store.remember('c', '1'), 'new', 'and the other key’s');
});

t.test('a key whose proofs have ended takes no memory', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let now = 0;
  const store = new ReplayCache(LIMITS, () => now);
  const run = (from: number, count: number): void => {
    for (let i = from; i < from + count; i++) {
      now += LIMITS.lifetime + 1;
      // Of two bytes a character, and flat: it stands for itself alone.
      const key = Buffer.from(`→${i}`.padEnd(2_000, '→'), 'utf16le').toString('utf16le');
      if (store.remember(key, '1') !== 'new') t.fail('not taken');
    }
  };
  run(0, 100);
  collect();
  const before = process.memoryUsage().heapUsed;
  run(100, 5_000);
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  t.ok(grown < 5_000_000, `${grown} bytes more, of the 20,000,000 of all keys`);
});
