import t from 'tap';
import { membersOf, type Suite } from './suites.js';

/**
 * Runs the test files of a suite in this process, one after the other: each file by itself would pay for a start of its
 * own, which takes longer than most of them. Any of them can be run alone.
 */
export async function together(suite: Suite): Promise<void> {
  // As long as this first test runs, tap does not take the tests read so far for all that there are.
  await t.test('the files of the suite are read', async (first) => {
    for (const name of membersOf(suite)) {
      await import(new URL(`../${name}.test.js`, import.meta.url).href);
      // With several at once, a test that computes for seconds would let the calls of others time out.
      first.equal(t.jobs, 1, `${name} leaves t.jobs alone, which holds for all files that run together`);
    }
  });
}
