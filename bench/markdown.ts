import type { RunInfo } from './run-info.js';

/** What a block says that has nothing to show. */
export const NONE = 'Not measured yet: `npm run bench`, then `npm run bench:page`.';
/** A machine counts as busy if so many processes for each processor wanted to run when the run began. */
const BUSY = 0.5;

/** A table of Markdown; a sentence if it has no rows. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return NONE;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

/** Where, when and of what a run was made. */
export function runLine({ machine, node, commit, date, rounds, seconds, load, processors }: RunInfo): string {
  const busy =
    load > BUSY * processors
      ? ` Other programs kept the machine busy (load ${load}): only the ratios say something.`
      : '';
  return `${machine}; Node ${node}; commit ${commit}, ${date}; medians of ${rounds} rounds of ${seconds} s.${busy}`;
}

/**
 * One line for each run, with what it measured; where there is one run alone, only where and when that was.
 *
 * @param runs by what was measured
 */
export function runLines(runs: readonly (readonly [name: string, run: RunInfo])[]): string {
  const byLine = new Map<string, string[]>();
  for (const [name, run] of runs) {
    const line = runLine(run);
    byLine.set(line, [...(byLine.get(line) ?? []), name]);
  }
  if (byLine.size === 0) return NONE;
  if (byLine.size === 1) return [...byLine.keys()].join();
  return [...byLine].map(([line, names]) => `- ${names.join(', ')}: ${line}`).join('\n');
}

/** A number as the pages write it: no more than so many digits after the point. */
export function numeral(value: number, digits = 0): string {
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}

/** Milliseconds, or seconds where that is easier to read. */
export function duration(ms: number): string {
  return ms < 1_000 ? `${numeral(ms)} ms` : `${numeral(ms / 1_000, 1)} s`;
}

/** A share of one as percent. */
export function percent(share: number): string {
  return `${numeral(share * 100, share < 0.1 ? 1 : 0)} %`;
}
