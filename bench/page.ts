import { growthBlocks } from './growth/blocks.js';
import { NONE, runLine, runLines, tableOf } from './markdown.js';
import { measuredBlocks } from './replicas/blocks.js';
import { replicasBlock } from './replicas/table.js';
import type { Row, Summary } from './summary.js';

/** The blocks of the pages, by name, as Markdown. */
export function blocksOf(summary: Summary): Readonly<Record<string, string>> {
  return {
    run: runBlock(summary),
    cpu: cpuBlock(summary),
    latency: latencyBlock(summary),
    memory: memoryBlock(summary),
    ...growthBlocks(summary.growth),
    replicas: replicasBlock(),
    ...measuredBlocks(summary.replicas),
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

function runBlock({ run, earlier = {}, absent }: Summary): string {
  if (run === undefined) return NONE;
  const missing = absent.length === 0 ? '' : ` Not measured: ${absent.join(', ')}.`;
  const last = `${runLine(run)}${missing}`;
  const others = Object.entries(earlier);
  if (others.length === 0) return last;
  // Those that are from one run together still need their names: others are not from it.
  const lines = runLines(others);
  const named = lines.startsWith('- ') ? lines : `- ${Object.keys(earlier).join(', ')}: ${lines}`;
  return `${last}\n\nFrom earlier runs:\n\n${named}`;
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
