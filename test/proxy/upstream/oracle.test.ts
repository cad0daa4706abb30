import t from 'tap';
import { DIFFERENCES } from './differences.js';
import { behaviourTests, compare } from './oracle.js';

t.test(
  'undici behind the same interface serves requests as our client does, but for what is listed',
  async (t) => {
    // All of them run in oracle.slow.ts.
    await compare(t, 'bodies');
  },
);

t.test('every difference is seen by a test that there is', (t) => {
  const files = behaviourTests();
  for (const { subject, tests } of DIFFERENCES) {
    t.not(tests.length, 0, subject);
    for (const [file] of tests) t.ok(files.includes(file), `${subject}: ${file}`);
  }
  t.end();
});
