import type { StatusJson } from '../overview.js';
import type { SeriesJson } from '../series.js';
import type { TroubleJson } from '../troubles.js';
import { at, code, docs, make, type Part, reconcile, setText } from './dom.js';
import { bytes, dateTime, duration, percent, rate, span, whole } from './format.js';

/** Where the documentation says what to do. */
const ADVICE: Readonly<Record<TroubleJson['kind'], readonly [page: string, text: string]>> = {
  'authorization-server': ['operations.md#outages', 'Outages'],
  certificate: ['operations.md#certificates', 'Certificates'],
  file: ['rotate.md', 'Rotate keys, secrets and certificates'],
  log: ['audit.md', 'The audit line'],
  'not-serving': ['operations.md#start-reload-drain', 'Start, reload, drain'],
  observing: ['rules.md#dry-run', 'Dry run'],
  overload: ['operations.md#overload', 'Overload'],
  pool: ['operations.md#fair-shares', 'Fair shares'],
  reload: ['operations.md#start-reload-drain', 'Start, reload, drain'],
  'shared-cache': ['introspection.md#a-cache-for-several-gateways', 'A shared cache'],
  upstream: ['errors.md#upstream_unreachable', 'Errors of upstreams'],
};

/**
 * The banners, by their content. A banner that does not change stays in the page, so that screen readers do
 * not repeat it.
 */
const banners = new Map<string, HTMLElement>();

/** Shows the troubles at the top of the page. */
export function showTroubles(troubles: readonly TroubleJson[]): void {
  const keys = troubles.map((trouble) => JSON.stringify(trouble));
  for (const key of banners.keys()) if (!keys.includes(key)) banners.delete(key);
  const wanted = troubles.map((trouble, i) => {
    const key = keys[i] as string;
    const known = banners.get(key) ?? banner(trouble);
    banners.set(key, known);
    return known;
  });
  reconcile(at('troubles'), wanted);
}

function banner({ kind, severity, message, details, since }: TroubleJson): HTMLElement {
  const lead: Part[] = [make('strong', severity === 'error' ? 'Error' : 'Warning'), ' ', message];
  const [page, text] = ADVICE[kind];
  const foot: Part[] = since === undefined ? [] : [`Since ${dateTime(since)}. `];
  const list = details.map((detail) => make('li', code(detail)));
  return make(
    'div',
    [
      make('p', lead),
      ...(list.length === 0 ? [] : [make('ul', list)]),
      make('p', [...foot, 'What to do: ', docs(page, text)], 'foot'),
    ],
    `trouble ${severity}`,
  );
}

/** Says whether requests are served, in one word. */
export function showState(status: StatusJson | undefined): void {
  const state = at('state');
  const worst = status?.troubles[0]?.severity;
  const [text, kind] =
    status === undefined
      ? ['no connection', 'bad']
      : status.ready !== 'ok'
        ? [status.ready, 'bad']
        : worst === 'error'
          ? ['serving, with errors', 'bad']
          : worst === 'warning'
            ? ['serving, with warnings', 'warn']
            : ['serving', 'good'];
  setText(state, text);
  state.className = `pill ${kind}`;
}

/** The last value of a list that is known. */
function latest(values: readonly (number | null)[]): number | undefined {
  return values.at(-1) ?? undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const known = (value: number | undefined, format: (value: number) => string) =>
  value === undefined ? '–' : format(value);

/** A span that is short enough for a tile: seconds matter in the first minute only. */
const uptime = (ms: number): string =>
  span(ms < 60_000 ? ms : Math.floor(ms / 60_000) * 60_000).replace(/ 0 .*/, '');

/** The tiles: each shows a current value and an earlier one. */
export function showTiles(status: StatusJson, series: SeriesJson | undefined): void {
  const { inFlight, cache, started } = status;
  const tiles: [name: string, now: string, before: string][] = [];
  if (series !== undefined) {
    const { outcomes, step, decision, hitRate } = series;
    const { allowed, wouldDeny, denied, failed } = outcomes;
    const all = allowed.map((count, i) => count + (wouldDeny[i] ?? 0) + (denied[i] ?? 0) + (failed[i] ?? 0));
    const total = sum(all);
    const now = all.at(-1) ?? 0;
    const share = (list: readonly number[]): [string, string] => [
      now === 0 ? '–' : percent((list.at(-1) ?? 0) / now),
      total === 0 ? 'no requests in 15 min' : `${percent(sum(list) / total)} in 15 min`,
    ];
    const average = all.length === 0 ? 0 : total / all.length / step;
    const slowest = Math.max(0, ...decision.p95.map((value) => value ?? 0));
    const rates = hitRate.filter((value) => value !== null);
    tiles.push(
      ['Requests', `${rate(now / step)}/s`, `${rate(average)}/s in 15 min`],
      ['Denied', ...share(denied)],
      ['Failed', ...share(failed)],
      [
        'Decision, p95',
        known(latest(decision.p95), duration),
        slowest === 0 ? 'none in 15 min' : `at most ${duration(slowest)} in 15 min`,
      ],
      [
        'Cache hit rate',
        known(latest(hitRate), percent),
        rates.length === 0 ? 'no tokens in 15 min' : `${percent(sum(rates) / rates.length)} in 15 min`,
      ],
    );
  }
  tiles.push(
    ['In flight', whole(inFlight), 'requests now'],
    cache === undefined
      ? ['Cache', 'off', 'introspection.cache.enabled']
      : [
          'Cached tokens',
          whole(cache.active + cache.inactive),
          `of ${whole(cache.maxEntries)}, ${bytes(cache.bytes)}`,
        ],
    ['Uptime', uptime(Date.now() - Date.parse(started)), `since ${dateTime(started)}`],
  );
  at('tiles').replaceChildren(
    ...tiles.map(([name, now, before]) =>
      make('div', [make('dt', name), make('dd', [make('b', now), make('span', before)])]),
    ),
  );
}
