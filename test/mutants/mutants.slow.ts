import { availableParallelism } from 'node:os';
import t from 'tap';
import { campaign } from './campaign.js';

// A fixed sample of the mutants; `npm run test:mutants` tries all that are picked (docs/mutants.md).

t.test('tests notice small changes of the code that keeps clients from each other’s data', async (t) => {
  const results = await campaign({ sample: true, jobs: Math.min(2, availableParallelism()) });
  const sum = (of: 'tried' | 'killed'): number => results.reduce((n, result) => n + result[of], 0);
  t.comment(`${sum('killed')} of ${sum('tried')} mutants killed`);
  t.ok(sum('tried') >= 40);
  t.same(
    results.flatMap(({ survived }) => survived.map(({ id }) => id)),
    [],
    'write a test that kills it, or say in test/mutants/explained.ts why no test can',
  );
});
