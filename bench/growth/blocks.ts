import { duration, numeral, percent, runLines, tableOf } from '../markdown.js';
import type { DatedGrowth } from '../summary.js';
import type { Point } from './curve.js';
import { type CurveKey, hostsOf } from './plans.js';

/** The tables of "As things grow" in docs/performance.md, by the names of their blocks. */
export function growthBlocks(growth: DatedGrowth = {}): Readonly<Record<string, string>> {
  return {
    'scale-run': runBlock(growth),
    'scale-rules': rulesBlock(growth),
    'scale-loading': loadingBlock(growth),
    'scale-hosts': curveBlock(growth, 'hosts', 'hosts of 10,000 rules', [RATIO, MEMORY]),
    'scale-tokens': curveBlock(growth, 'tokens', 'cached tokens, asked for in turn', [CPU, RATIO, MEMORY]),
    'scale-connections': curveBlock(growth, 'connections', 'busy connections', [CPU, REFUSED]),
    'scale-idle': idleBlock(growth),
    'scale-bodies': curveBlock(growth, 'bodies', 'bytes of an answer', [CPU]),
    'scale-claims': claimsBlock(growth),
    'scale-processes': processesBlock(growth),
  };
}

/** A column of a table. */
type Column = readonly [head: string, cell: (point: Point) => string];

const CPU: Column = ['CPU time a request', ({ cpu }) => microseconds(cpu)];
const RATIO: Column = ['ratio to the first', ({ ratio }) => numeral(ratio, 2)];
const MEMORY: Column = ['memory', ({ rss }) => `${numeral(rss)} MiB`];
const REFUSED: Column = ['not answered with 200', ({ refused }) => percent(refused)];

function microseconds(cpu: number): string {
  return cpu < 1_000 ? `${numeral(cpu, cpu < 10 ? 1 : 0)} µs` : `${numeral(cpu / 1_000, 1)} ms`;
}

function pointsOf({ curves = {} }: DatedGrowth, key: CurveKey): readonly Point[] {
  return curves[key]?.value.points ?? [];
}

function curveBlock(growth: DatedGrowth, key: CurveKey, unit: string, columns: readonly Column[]): string {
  return tableOf(
    [unit, ...columns.map(([head]) => head)],
    pointsOf(growth, key).map((point) => [numeral(point.x), ...columns.map(([, cell]) => cell(point))]),
  );
}

function runBlock({ curves = {}, loading, matching, processes }: DatedGrowth): string {
  const parts = { loading, matching, processes, ...curves };
  return runLines(
    Object.entries(parts).flatMap(([name, part]) => (part === undefined ? [] : [[name, part.run] as const])),
  );
}

/** One line for each number of rules, of all that was measured about it. */
function rulesBlock(growth: DatedGrowth): string {
  const loads = (growth.loading?.value ?? []).filter(
    ({ shape, rules, hosts }) => shape === 'mixed' && hosts === hostsOf(rules),
  );
  const matches = growth.matching?.value ?? [];
  const points = pointsOf(growth, 'rules');
  const counts = new Set([...loads, ...matches].map(({ rules }) => rules));
  for (const { x } of points) counts.add(x);
  return tableOf(
    [
      'rules',
      'start: CPU time',
      'start: most memory',
      'memory under load',
      'finding a rule: 10 busy routes',
      'all routes busy',
      'CPU time a request',
      'ratio to the first',
    ],
    [...counts]
      .sort((a, b) => a - b)
      .map((count) => {
        const load = loads.find(({ rules }) => rules === count);
        const match = matches.find(({ rules }) => rules === count);
        const point = points.find(({ x }) => x === count);
        return [
          numeral(count),
          load && duration(load.cpu),
          load && `${numeral(load.peak)} MiB`,
          point && `${numeral(point.rss)} MiB`,
          match && `${numeral(match.busy)} ns`,
          match && `${numeral(match.every)} ns`,
          point && microseconds(point.cpu),
          point && numeral(point.ratio, 2),
        ].map((cell) => cell ?? '–');
      }),
  );
}

const SHAPE_WORDS: Readonly<Record<string, string>> = {
  mixed: 'as people write them',
  tenants: '`/[a-z]+/resource-1/.*` and so on',
  pages: '`/[^/]+/[^/]+/page-1/edit` and so on',
};

function loadingBlock({ loading }: DatedGrowth): string {
  return tableOf(
    ['10,000 rules', 'hosts', 'CPU time', 'on the clock', 'most memory'],
    (loading?.value ?? [])
      .filter(({ rules }) => rules === 10_000)
      .map(({ shape, hosts, cpu, wall, peak }) => [
        SHAPE_WORDS[shape] ?? shape,
        numeral(hosts),
        duration(cpu),
        duration(wall),
        `${numeral(peak)} MiB`,
      ]),
  );
}

function idleBlock(growth: DatedGrowth): string {
  const points = pointsOf(growth, 'idle');
  const none = points[0]?.rss ?? 0;
  return tableOf(
    [
      'idle connections',
      'memory',
      'for each of them',
      'CPU time of a request beside them',
      'ratio to the first',
    ],
    points.map(({ x, rss, cpu, ratio }) => [
      numeral(x),
      `${numeral(rss)} MiB`,
      x === 0 ? '–' : `${numeral(((rss - none) * 1024) / x, 1)} KiB`,
      microseconds(cpu),
      numeral(ratio, 2),
    ]),
  );
}

function claimsBlock(growth: DatedGrowth): string {
  const [cached, fresh] = [pointsOf(growth, 'claims'), pointsOf(growth, 'new-claims')];
  const sizes = [...new Set([...cached, ...fresh].map(({ x }) => x))].sort((a, b) => a - b);
  const cells = (points: readonly Point[], size: number): string[] => {
    const point = points.find(({ x }) => x === size);
    return point === undefined ? ['–', '–'] : [microseconds(point.cpu), numeral(point.ratio, 2)];
  };
  return tableOf(
    ['bytes of claims', 'CPU time with a cached token', 'ratio', 'with a new token', 'ratio'],
    sizes.map((size) => [numeral(size), ...cells(cached, size), ...cells(fresh, size)]),
  );
}

function processesBlock({ processes }: DatedGrowth): string {
  return tableOf(
    ['processes', 'at rest, resident', 'shared pages once', 'after load, resident', 'shared pages once'],
    (processes?.value ?? []).map(({ processes: count, rest, load }) => [
      numeral(count),
      ...[rest.rss, rest.pss, load.rss, load.pss].map((mib) => `${numeral(mib)} MiB`),
    ]),
  );
}
