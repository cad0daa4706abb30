import t from 'tap';
import { type ModelRun, runModel } from './model.js';

const RUNS = 32;
const DECISIONS = 40_000;

t.test('a million decisions are what the specification says, whatever happens in between', async (t) => {
  const runs: ModelRun[] = [];
  for (let seed = 1; seed <= RUNS; seed++) {
    runs.push(await runModel(seed * 7_919, DECISIONS, seed % 4 === 0 ? 20_000 : 0));
  }
  const decisions = runs.reduce((sum, run) => sum + run.decisions, 0);
  const hits = runs.reduce((sum, run) => sum + run.hits, 0);
  const refreshes = runs.reduce((sum, run) => sum + run.refreshes, 0);
  const verdicts = total(runs.map((run) => run.verdicts));
  const events = total(runs.map((run) => run.events));
  t.comment(`${decisions} decisions in ${RUNS} runs, ${hits} of them from the cache: no difference`);
  t.comment(`${JSON.stringify(verdicts)}; ${JSON.stringify(events)}`);
  t.ok(refreshes > 2_000, `${refreshes} refreshes`);
  t.ok(decisions >= 1_000_000, `${decisions} decisions`);
  for (const [name, count] of Object.entries(verdicts)) t.ok(count > 10_000, `${count} times ${name}`);
  t.equal(Object.keys(verdicts).length, 4);
  t.ok(hits > decisions / 4 && hits < decisions * 0.95, `${hits} hits`);
});

function total<K extends string>(counts: readonly ReadonlyMap<K, number>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const map of counts) for (const [name, count] of map) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}
