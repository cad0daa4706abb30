import type { Test } from 'tap';
import type { FuzzReport } from './raw.js';

/** Prints what was tried, and fails for each violation. */
export function report(t: Test, seed: number, { violations, statuses, ...totals }: FuzzReport): void {
  t.comment(`seed ${seed}, ${JSON.stringify(totals)}, answers ${JSON.stringify(statuses)}`);
  for (const violation of violations) t.fail(violation);
  t.ok(totals.forwarded > totals.cases / 20, 'requests that are whole are forwarded');
  t.equal(violations.length, 0, 'nothing happened that must not');
}
