import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { row } from '../report.js';

/** What it costs to find a request's rule, in nanoseconds. */
export interface MatchCost {
  readonly rules: number;
  /** Where ten routes get all requests. */
  readonly busy: number;
  /** Where all routes get as many. */
  readonly every: number;
}

/**
 * Measures it in a process of its own.
 *
 * @throws Error if that fails; it has said why
 */
export function measureMatching(): MatchCost[] {
  const program = fileURLToPath(new URL('match-cost.js', import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`${program} ended with ${status}`);
  return JSON.parse(stdout) as MatchCost[];
}

/** Medians. */
export function matchingTable(costs: readonly MatchCost[]): string {
  return [
    '',
    'nanoseconds to find a request’s rule',
    row('rules', '10 busy', 'all busy'),
    ...costs.map(({ rules, busy, every }) =>
      row(rules.toLocaleString('en'), busy.toFixed(0), every.toFixed(0)),
    ),
  ].join('\n');
}
