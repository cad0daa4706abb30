import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chartOfHits } from '../../bench/chart.js';
import type { Curve } from '../../bench/growth/curve.js';
import { blocksOf, renewed } from '../../bench/page.js';
import { merged, type ResultsFile, type Summary, summaryOf } from '../../bench/summary.js';
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

t.test('the picture of docs/performance.md is drawn from docs/performance.json', (t) => {
  const summary = JSON.parse(read('docs/performance.json')) as Summary;
  const svg = chartOfHits(summary);
  t.equal(read('docs/performance.svg'), svg, 'else run `npm run bench:page`');
  t.match(read('docs/performance.md'), '](performance.svg)');
  const drawn = [...svg.matchAll(/text-anchor="end">([^<]+)<\/text>\n<rect .*\n<text [^>]*>([^<]+)</g)].map(
    ([, name, cpu]) => [name, Number(cpu)],
  );
  const hits = Object.entries(summary.situations['cached hit'] ?? {}).map(([name, { cpu }]) => [name, cpu]);
  t.not(drawn.length, 0);
  t.same(drawn.map(String).sort(), hits.map(String).sort(), 'all contenders');
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
  t.match(latency, '| scopegate | 1, 2.35, 3 (1000/s) |');
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

const curve = (key: Curve['key'], cpu: number): Curve => ({
  key,
  name: key,
  unit: key,
  points: [
    {
      x: 10,
      cpu,
      least: cpu,
      most: cpu,
      ratio: 1,
      rss: 100,
      statuses: ['200'],
      refused: 0,
      introspections: 0,
    },
  ],
});

t.test('a run of some situations leaves the others as they are, and says that they are earlier ones', (t) => {
  const first = summaryOf(FILE);
  const run = { ...FILE.run, commit: 'def' };
  const later = merged(
    first,
    summaryOf({ run, absent: {}, results: { 'cached hit': { scopegate: [sample(9)] }, miss: {} } }),
  );
  t.equal(later.situations['cached hit']?.scopegate?.cpu, 9);
  t.equal(later.situations['cached hit']?.peer, undefined, 'who was not in this run has no ratio to it');
  t.same(
    later.situations['latency at 50 % of its capacity'],
    first.situations['latency at 50 % of its capacity'],
  );
  t.same(later.starts, first.starts);
  t.same(later.earlier, { 'latency at 50 % of its capacity': FILE.run, start: FILE.run });
  const block = blocksOf(later).run ?? '';
  t.match(block, /commit def/);
  t.match(block, /\n- latency at 50 % of its capacity, start: .*commit abc/);
  t.same(
    merged(later, summaryOf(FILE)).earlier,
    { miss: run },
    'a situation that is measured again is current',
  );
  t.end();
});

t.test('a run of curves alone replaces these curves, and nothing else', (t) => {
  const results = {};
  const first = merged(
    summaryOf(FILE),
    summaryOf({
      ...FILE,
      results,
      peerStarts: {},
      growth: { curves: [curve('tokens', 5), curve('hosts', 6)] },
    }),
  );
  t.equal(first.run?.commit, 'abc');
  t.same(first.situations, summaryOf(FILE).situations);
  const run = { ...FILE.run, commit: 'def' };
  const later = merged(
    first,
    summaryOf({
      run,
      results,
      absent: {},
      growth: { curves: [curve('tokens', 7)], matching: [{ rules: 10, busy: 90, every: 100 }] },
    }),
  );
  t.same(later.run, first.run);
  t.same(later.absent, first.absent);
  const blocks = blocksOf(later);
  t.match(blocks['scale-tokens'], '| 10 | 7 µs | 1 | 100 MiB |');
  t.match(blocks['scale-hosts'], '| 10 | 1 | 100 MiB |');
  t.match(blocks['scale-rules'], '| 10 | – | – | – | 90 ns | 100 ns | – | – |');
  t.match(blocks['scale-run'], /^- matching, tokens: .*commit def.*\n- hosts: .*commit abc/);
  t.end();
});

t.test('what a curve of an older form holds is not taken for one', (t) => {
  const old = JSON.parse(JSON.stringify({ ...FILE, curves: [{ name: 'rules', points: [] }] })) as ResultsFile;
  t.equal(summaryOf(old).growth, undefined);
  t.end();
});
