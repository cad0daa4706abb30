import type { SeriesJson } from '../series.js';
import { type Chart, createChart } from './chart.js';
import { at, cell, headRow, make } from './dom.js';
import { duration, hourMinute, percent, rate } from './format.js';

const PERCENTILES = [
  ['p50', 'p50'],
  ['p95', 'p95'],
] as const;

/** The charts of the last fifteen minutes, and their values as a table. */
export class Charts {
  readonly #charts: readonly Chart[];
  #latest: SeriesJson | undefined;

  constructor() {
    const times = ['Decision', 'Introspection', 'Upstream'].map((title) =>
      createChart({
        title,
        unit: 'ms',
        series: PERCENTILES,
        format: duration,
        tick: (value) => (value >= 1 || value === 0 ? String(Number(value.toFixed(1))) : value.toFixed(2)),
        atLeast: 0.1,
        height: 150,
      }),
    );
    const decisions = createChart({
      title: 'Requests by outcome',
      unit: 'requests/s',
      stacked: true,
      series: [
        ['allowed', 'allowed'],
        ['would deny', 'would'],
        ['denied', 'denied'],
        ['failed', 'failed'],
      ],
      format: (value) => `${rate(value)}/s`,
      tick: (value) => (value >= 10_000 ? `${value / 1_000}k` : String(Number(value.toFixed(2)))),
      atLeast: 1,
      height: 190,
    });
    decisions.element.className = 'wide';
    const hits = createChart({
      title: 'Cache hit rate',
      unit: '%',
      series: [['answered by the cache', 'hits']],
      format: percent,
      tick: (value) => String(Math.round(value * 100)),
      atLeast: 1,
      top: 1,
      height: 150,
    });
    this.#charts = [decisions, ...times, hits];
    at('charts').replaceChildren(...this.#charts.map(({ element }) => element));
    at<HTMLDetailsElement>('values').addEventListener('toggle', () => this.#showTable());
  }

  show(series: SeriesJson): void {
    this.#latest = series;
    const { step, span, outcomes, decision, introspection, upstream, hitRate } = series;
    const end = Date.parse(series.end);
    const perSecond = (counts: readonly number[]) => counts.map((count) => count / step);
    const values = [
      [outcomes.allowed, outcomes.wouldDeny, outcomes.denied, outcomes.failed].map(perSecond),
      ...[decision, introspection, upstream].map(({ p50, p95 }) => [p50, p95]),
      [hitRate],
    ];
    this.#charts.forEach((chart, i) => {
      chart.show({ end, step, span, values: values[i] ?? [] });
    });
    this.#showTable();
  }

  /** The same values, each half minute, for those who do not see the charts. */
  #showTable(): void {
    const series = this.#latest;
    if (series === undefined || !at<HTMLDetailsElement>('values').open) return;
    const { end, step, outcomes, hitRate } = series;
    const every = Math.max(1, 30 / step);
    const rows: HTMLTableRowElement[] = [];
    for (let i = hitRate.length - 1; i >= 0; i -= every) {
      const time = Date.parse(end) - (hitRate.length - 1 - i) * step * 1_000;
      const counts = [outcomes.allowed, outcomes.wouldDeny, outcomes.denied, outcomes.failed];
      const known = (value: number | null | undefined, format: (value: number) => string) =>
        value === null || value === undefined ? '–' : format(value);
      const times = [series.decision, series.introspection, series.upstream];
      const name = make('th', hourMinute(time));
      name.scope = 'row';
      rows.push(
        make('tr', [
          name,
          ...counts.map((list) => cell(rate((list[i] ?? 0) / step), 'number')),
          ...times.map(({ p50, p95 }) =>
            cell(`${known(p50[i], duration)} / ${known(p95[i], duration)}`, 'number'),
          ),
          cell(known(hitRate[i], percent), 'number'),
        ]),
      );
    }
    const heads = [
      'Time',
      'Allowed/s',
      'Would deny/s',
      'Denied/s',
      'Failed/s',
      'Decision p50 / p95',
      'Introspection p50 / p95',
      'Upstream p50 / p95',
      'Hit rate',
    ];
    at('values-table').replaceChildren(make('thead', headRow(heads)), make('tbody', rows));
  }
}
