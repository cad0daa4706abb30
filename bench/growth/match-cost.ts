/**
 * A child process that measures what it costs to find a request's rule among 10 to 100,000 of them: by the table that serves, nothing around
 * it. The sets take turns. Prints JSON.
 *
 *     node build/bench/growth/match-cost.js
 */
import { buildTable } from '../../src/rules/table/table.js';
import { type Find, repeat, shuffle, timeMatches } from '../match-rounds.js';
import { median } from '../report.js';
import { type Request, ruleset } from '../rulesets.js';
import type { MatchCost } from './matching.js';
import { hostsOf, RULES } from './plans.js';

const ROUNDS = 201;
/** Rounds that do not count: each route is asked for some times. */
const WARM_UP = 30;
/** As a gateway has busy routes, all of one host. */
const BUSY = 10;

interface Set {
  readonly rules: number;
  readonly find: Find;
  readonly busy: readonly Request[];
  readonly every: readonly Request[];
  readonly times: { readonly busy: number[]; readonly every: number[] };
}

const sets = RULES.map((count): Set => {
  const { rules, requests } = ruleset('mixed', count, hostsOf(count));
  const { table, findings } = buildTable(rules, { overlap: 'error', version: 1 });
  if (table === undefined) throw new Error(findings[0]?.message);
  return {
    rules: count,
    find: (host, path) => table.find(host, 'GET', path),
    busy: repeat(requests.filter(({ host }) => host === requests[0]?.host).slice(0, BUSY)),
    every: repeat(shuffle(requests)),
    times: { busy: [], every: [] },
  };
});
for (let round = -WARM_UP; round < ROUNDS; round++) {
  for (const { find, busy, every, times } of round % 2 === 0 ? sets : sets.toReversed()) {
    const [few, all] = [timeMatches(find, busy, Math.abs(round)), timeMatches(find, every, Math.abs(round))];
    if (round < 0) continue;
    times.busy.push(few);
    times.every.push(all);
  }
}
const costs = sets.map(
  ({ rules, times }): MatchCost => ({ rules, busy: median(times.busy), every: median(times.every) }),
);
process.stdout.write(`${JSON.stringify(costs)}\n`);
