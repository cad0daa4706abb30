import { join } from 'node:path';
import { type Curve, curveTable, measureCurve } from './curve.js';
import { type Loading, loadingTable, measureLoading } from './loading.js';
import { type MatchCost, matchingTable, measureMatching } from './matching.js';
import { type CurveKey, PLANS } from './plans.js';
import { measureProcesses, type ProcessMemory, processesTable } from './processes.js';

/** Parts of `--only scale` that are not curves of a request's cost. */
const OTHERS = ['loading', 'matching', 'processes'] as const;

/** A part of `--only scale`, as `--curves` names it. */
export type GrowthKey = CurveKey | (typeof OTHERS)[number];

/** All of them. */
export const GROWTHS: readonly GrowthKey[] = [...OTHERS, ...PLANS.map(({ key }) => key)];

/** What `--only scale` brought: what was wanted of it. */
export interface Growth {
  readonly curves: readonly Curve[];
  readonly loading?: readonly Loading[];
  readonly matching?: readonly MatchCost[];
  readonly processes?: readonly ProcessMemory[];
}

/**
 * Measures how things grow, one part after the other.
 *
 * @param seconds of load a step and round
 * @param done called after each part, with all that there is so far, so that an error later on loses none of it
 */
export async function measureGrowth(
  folder: string,
  rounds: number,
  seconds: number,
  wanted: readonly GrowthKey[] = GROWTHS,
  done: (growth: Growth) => void = () => {},
): Promise<void> {
  let growth: Growth = { curves: [] };
  const add = (part: Partial<Growth>): void => {
    growth = { ...growth, ...part };
    done(growth);
  };
  if (wanted.includes('loading')) add({ loading: await measureLoading(join(folder, 'loading'), rounds) });
  if (wanted.includes('matching')) add({ matching: measureMatching() });
  if (wanted.includes('processes')) {
    add({ processes: await measureProcesses(join(folder, 'processes'), rounds, seconds) });
  }
  for (const plan of PLANS.filter(({ key }) => wanted.includes(key))) {
    add({ curves: [...growth.curves, await measureCurve(folder, plan, rounds, seconds)] });
  }
}

/** Everything that was measured, as text. */
export function growthTables({ curves, loading, matching, processes }: Growth): string {
  return [
    loading === undefined ? '' : loadingTable(loading),
    matching === undefined ? '' : matchingTable(matching),
    processes === undefined ? '' : processesTable(processes),
    ...curves.map(curveTable),
  ]
    .filter((text) => text !== '')
    .join('\n');
}
