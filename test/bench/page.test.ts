import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, renewed } from '../../bench/page.js';
import { type ResultsFile, type Summary, summaryOf } from '../../bench/summary.js';
import { root } from '../root.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

t.test('the tables of the pages are made from docs/performance.json', (t) => {
  const blocks = blocksOf(JSON.parse(read('docs/performance.json')) as Summary);
  const named = new Set<string>();
  for (const page of ['docs/performance.md', 'docs/operations.md']) {
    t.equal(read(page), renewed(read(page), blocks), `${page}: else run \`npm run bench:page\``);
    for (const [, name] of read(page).matchAll(/<!-- bench:begin (\S+) -->/g)) named.add(name as string);
  }
  t.same([...named].sort(), Object.keys(blocks).sort(), 'each block is on a page');
  t.end();
});

const sample = (cpu: number) => ({
  cpu,
  rate: 1000,
  p50: 1,
  p99: 2.3456,
  p999: 3,
  busy: 0.5,
  rss: 100,
  introspections: 0,
  requests: 1,
  statuses: {},
});

const FILE: ResultsFile = {
  run: {
    machine: 'a machine',
    node: 'v20.0.0',
    date: '2026-01-01',
    commit: 'abc',
    load: 0.1,
    processors: 2,
    rounds: 3,
    seconds: 1,
  },
  results: {
    'cached hit': { scopegate: [10, 12, 11].map(sample), peer: [20, 24, 44].map(sample) },
    'latency at 50 % of its capacity': { scopegate: [sample(10)] },
  },
  peerStarts: { scopegate: [{ cpu: 200, wall: 250, rss: 70 }] },
  absent: { gone: 'apt-get install gone' },
};

t.test('a block has medians, ratios within a round, and says which machine', (t) => {
  const { run, cpu, latency, memory } = blocksOf(summaryOf(FILE));
  t.equal(
    run,
    'a machine; Node v20.0.0; commit abc, 2026-01-01; medians of 3 rounds of 1 s. Not measured: gone.',
  );
  t.match(cpu, '| scopegate | 11 (1) |');
  t.match(cpu, '| peer | 24 (0.5) |');
  t.match(latency, '| scopegate | 1, 2.35, 3 |');
  t.match(memory, '| scopegate | at least 1000 | 70 | 100 | 200 | 250 |');
  t.end();
});

t.test('a run on a busy machine is called one', (t) => {
  const run = { ...FILE.run, load: 5 };
  t.match(blocksOf(summaryOf({ ...FILE, run })).run, 'kept the machine busy (load 5)');
  t.end();
});

t.test('a page with a block that is not known, or not closed, is refused', (t) => {
  t.equal(
    renewed('a\n<!-- bench:begin x -->\nold\n<!-- bench:end -->\nb', { x: 'new' }),
    'a\n<!-- bench:begin x -->\nnew\n<!-- bench:end -->\nb',
  );
  t.throws(() => renewed('<!-- bench:begin y -->\n<!-- bench:end -->', {}), {
    message: 'there is no block y',
  });
  t.throws(() => renewed('<!-- bench:begin x -->\nold', { x: 'new' }), { message: 'a block is not closed' });
  t.end();
});
