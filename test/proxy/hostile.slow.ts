import t from 'tap';
import { hostileRun } from './hostile.js';

const SEED = Number(process.env.FUZZ_SEED ?? 4455);
const ANSWERS = Number(process.env.FUZZ_CASES ?? 100_000);

t.test('a hundred thousand hostile answers end one exchange each', { timeout: 1_400_000 }, async (t) => {
  const { answers, statuses, violations } = await hostileRun(t, ANSWERS, SEED);
  t.comment(`hostile answers tried: ${answers}, seed ${SEED}, told: ${JSON.stringify(statuses)}`);
  for (const violation of violations) t.fail(violation);
  t.ok((statuses['200'] ?? 0) > answers / 20, 'answers that are whole get through');
  t.equal(violations.length, 0, 'the process lives, and every other client gets its own answer');
});
