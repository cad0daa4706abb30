import t from 'tap';
import { behaviourTests, compare } from './oracle.js';

t.test(
  'undici behind the same interface differs from our client in what is listed, and in nothing else',
  async (t) => {
    const files = behaviourTests();
    t.ok(files.length >= 15, files.join(', '));
    for (const file of files) await t.test(file, (t) => compare(t, file));
  },
);
