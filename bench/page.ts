import { replicasBlock } from './replicas/table.js';
import type { Row, Summary } from './summary.js';

const NONE = 'Not measured yet: `npm run bench`, then `npm run bench:page`.';
/** A machine counts as busy if so many processes for each processor wanted to run when the run began. */
const BUSY = 0.5;

/** The blocks of the pages, by name, as Markdown. */
export function blocksOf(summary: Summary): Readonly<Record<string, string>> {
  return {
    run: runBlock(summary),
    cpu: cpuBlock(summary),
    latency: latencyBlock(summary),
    memory: memoryBlock(summary),
    replicas: replicasBlock(),
  };
}

/**
 * Puts blocks in the place of those that a page has between `<!-- bench:begin NAME -->` and `<!-- bench:end -->`.
 *
 * @throws Error if the page names a block that there is not, or does not close one
 */
export function renewed(page: string, blocks: Readonly<Record<string, string>>): string {
  const begun = page.match(/<!-- bench:begin /g)?.length ?? 0;
  let closed = 0;
  const text = page.replace(
    /<!-- bench:begin (\S+) -->\n[\s\S]*?<!-- bench:end -->/g,
    (_match, name: string) => {
      closed++;
      const block = blocks[name];
      if (block === undefined) throw new Error(`there is no block ${name}`);
      return `<!-- bench:begin ${name} -->\n${block}\n<!-- bench:end -->`;
    },
  );
  if (closed !== begun) throw new Error('a block is not closed');
  return text;
}

function runBlock({ run, absent }: Summary): string {
  if (run === undefined) return NONE;
  const { machine, node, date, commit, load, processors, rounds, seconds } = run;
  const busy =
    load > BUSY * processors
      ? ` Other programs kept the machine busy (load ${load}): only the ratios say something.`
      : '';
  const missing = absent.length === 0 ? '' : ` Not measured: ${absent.join(', ')}.`;
  return `${machine}; Node ${node}; commit ${commit}, ${date}; medians of ${rounds} rounds of ${seconds} s.${busy}${missing}`;
}

function cpuBlock({ situations }: Summary): string {
  const columns = Object.keys(situations).filter((name) => !name.startsWith('latency'));
  const cell = (row: Row | undefined): string => (row === undefined ? '–' : `${row.cpu} (${row.ratio})`);
  return tableOf(
    ['CPU µs a request (ratio)', ...columns],
    contendersOf(situations, columns).map((name) => [
      name,
      ...columns.map((column) => cell(situations[column]?.[name])),
    ]),
  );
}

function latencyBlock({ situations }: Summary): string {
  const columns = Object.keys(situations).filter((name) => name.startsWith('latency'));
  const cell = (row: Row | undefined): string =>
    row === undefined ? '–' : `${row.p50}, ${row.p99}, ${row.p999} (${row.rate}/s)`;
  return tableOf(
    ['p50, p99, p99.9 in ms (requests a second)', ...columns.map((column) => column.replace('latency ', ''))],
    contendersOf(situations, columns).map((name) => [
      name,
      ...columns.map((column) => cell(situations[column]?.[name])),
    ]),
  );
}

function memoryBlock({ situations, starts }: Summary): string {
  const hit = situations['cached hit'] ?? {};
  return tableOf(
    [
      '',
      'capacity, requests a second',
      'memory at rest, MiB',
      'under load, MiB',
      'start, CPU ms',
      'start, ms',
    ],
    Object.entries(starts).map(([name, start]) => {
      const row = hit[name];
      const capacity = row === undefined ? '–' : `${row.busy < 0.9 ? 'at least ' : ''}${row.rate}`;
      return [name, capacity, start.rss, row?.rss ?? '–', start.cpu, start.wall].map(String);
    }),
  );
}

/** Who is in any of these situations, in the order in which they were measured. */
function contendersOf(situations: Summary['situations'], columns: readonly string[]): string[] {
  return [...new Set(columns.flatMap((column) => Object.keys(situations[column] ?? {})))];
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return NONE;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
