import type { SettingInForce } from '../../config/in-force.js';
import type { RulesJson, StatusJson } from '../overview.js';
import type { SeriesJson } from '../series.js';
import { Charts } from './charts.js';
import { Decisions } from './decisions.js';
import { at, setText } from './dom.js';
import { Explain } from './explain.js';
import { showState, showTiles, showTroubles } from './overview.js';
import { Rules } from './rules.js';
import { SettingsList } from './settings.js';
import { Purge, showSystem } from './system.js';
import { followTheme } from './theme.js';

/** Milliseconds between two reads of `/status`, and of `/series`, whose steps are five seconds long. */
const STATUS_EVERY = 500;
const SERIES_EVERY = 2_500;
/** A number above that of every decision, so that the server sends none. */
const NOTHING_NEW = 999_999_999_999_999;

followTheme();
const explain = new Explain();
const decisions = new Decisions((decision) => explain.about(decision));
const rules = new Rules((rule) => decisions.filter({ rule, outcome: '', search: '' }));
const settings = new SettingsList();
const charts = new Charts();
new Purge();

let started = '';
let version = -1;
let last = 0;
let series: SeriesJson | undefined;
let seriesAt = Number.NEGATIVE_INFINITY;

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path, { cache: 'no-store' });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()) as T;
}

async function refresh(): Promise<void> {
  let status = await get<StatusJson>(`/status?after=${decisions.isPaused ? NOTHING_NEW : last}`);
  if (status.started !== started) {
    // Another process: drop the data of the old one.
    decisions.reset();
    version = -1;
    seriesAt = Number.NEGATIVE_INFINITY;
    if (started !== '' && last > 0) status = await get<StatusJson>('/status');
    started = status.started;
    last = 0;
    settings.show(await get<{ file: string; settings: readonly SettingInForce[] }>('/settings'));
  }
  if (status.rules.version !== version) {
    const table = await get<RulesJson>('/rules');
    version = table.version;
    rules.show(table);
    decisions.offer(table.rules.map(({ id }) => id));
  }
  if (performance.now() - seriesAt >= SERIES_EVERY) {
    series = await get<SeriesJson>('/series?step=5');
    seriesAt = performance.now();
    charts.show(series);
  }
  showState(status);
  showTroubles(status.troubles);
  showTiles(status, series);
  rules.count(status.counts);
  showSystem(status);
  last = status.recent.at(-1)?.seq ?? last;
  decisions.add(status.recent);
  setText(at('version'), `version ${status.version}, rule set ${status.rules.version}`);
}

async function poll(): Promise<void> {
  try {
    if (!document.hidden) await refresh();
  } catch {
    showState(undefined);
  }
  setTimeout(poll, STATUS_EVERY);
}

// Scrolling areas are reachable with the keyboard and have a name of their own.
for (const scroller of document.querySelectorAll<HTMLElement>('.scroll[data-name]')) {
  scroller.tabIndex = 0;
  scroller.setAttribute('role', 'region');
  scroller.setAttribute('aria-label', scroller.dataset.name ?? '');
}
void poll();
