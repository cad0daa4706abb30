import type { StatusJson } from '../overview.js';
import { at, badge, cell, code, count, facts, make, type Part } from './dom.js';
import { bytes, dateTime, span, whole } from './format.js';

/** A part of the page that changes only if what it shows has changed. */
const shown = new Map<string, string>();

function fill(id: string, what: unknown, content: () => readonly Node[]): void {
  const text = JSON.stringify(what);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  at(id).replaceChildren(...content());
}

const BREAKERS: Readonly<Record<string, string>> = { closed: 'good', open: 'bad', 'half-open': 'warn' };

/** Shows authorization servers, connection pools, the cache and certificates. */
export function showSystem({ servers, pools, cache, certificates }: StatusJson): void {
  fill('servers', servers, () =>
    servers.map(({ url, breaker, running, waiting }) =>
      make('tr', [
        cell(code(url), 'request'),
        cell(badge(breaker, BREAKERS[breaker] ?? ''), 'fit'),
        count(whole(running), 'in flight'),
        count(whole(waiting), 'waiting'),
      ]),
    ),
  );
  at('no-servers').hidden = servers.length > 0;
  at('servers-table').hidden = servers.length === 0;
  fill('pools', pools, () =>
    pools.map(({ origin, open, busy, long, waiting, turnedAway }) =>
      make('tr', [
        cell(code(origin), 'request'),
        count(whole(open), 'open'),
        count(whole(busy), 'busy'),
        count(whole(long), 'long'),
        count(whole(waiting), 'waiting'),
        count(whole(turnedAway), 'refused'),
      ]),
    ),
  );
  at('no-pools').hidden = pools.length > 0;
  at('pools-table').hidden = pools.length === 0;
  fill('cache', cache ?? 'off', () => [facts(cacheFacts(cache))]);
  fill('certificates', [certificates, Math.floor(Date.now() / 60_000)], () => certificateParts(certificates));
}

function cacheFacts(cache: StatusJson['cache']): [string, Part | readonly Part[]][] {
  if (cache === undefined) return [['State', 'off']];
  const { active, inactive, maxEntries, negativeMaxEntries, evictions } = cache;
  return [
    [
      'Active tokens',
      [whole(active), make('small', `of ${whole(maxEntries)}`), meter(active, maxEntries, 'Active tokens')],
    ],
    [
      'Inactive tokens',
      [
        whole(inactive),
        make('small', `of ${whole(negativeMaxEntries)}`),
        meter(inactive, negativeMaxEntries, 'Inactive tokens'),
      ],
    ],
    ['Memory', bytes(cache.bytes)],
    ['Evicted before they expired', whole(evictions)],
  ];
}

function meter(value: number, max: number, label: string): HTMLMeterElement {
  const element = make('meter');
  element.max = max;
  element.value = value;
  element.setAttribute('aria-label', label);
  return element;
}

function certificateParts(certificates: StatusJson['certificates']): Node[] {
  if (certificates.length === 0) return [make('p', 'No listener serves TLS.', 'quiet')];
  return [
    facts(
      certificates.map(({ listener, expires }): [string, Part[]] => {
        const left = Date.parse(expires) - Date.now();
        const kind = left <= 0 ? 'bad' : left < 7 * 86_400_000 ? 'warn' : 'good';
        return [
          `${listener} listener`,
          [
            badge(left <= 0 ? 'expired' : `${span(left)} left`, kind),
            make('small', `expires ${dateTime(expires)}`),
          ],
        ];
      }),
    ),
  ];
}

/** The form that invalidates cached answers. */
export class Purge {
  constructor() {
    at('purge').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#purge();
    });
    at('purge-what').addEventListener('change', () => this.#chosen());
    this.#chosen();
  }

  /** Purging everything needs no value. A token must not be visible on the screen. */
  #chosen(): void {
    const what = at<HTMLSelectElement>('purge-what').value;
    const value = at<HTMLInputElement>('purge-value');
    value.disabled = what === 'all';
    value.required = what !== 'all';
    value.type = what === 'token' ? 'password' : 'text';
    if (what === 'all') value.value = '';
  }

  async #purge(): Promise<void> {
    const what = at<HTMLSelectElement>('purge-what').value;
    const value = at<HTMLInputElement>('purge-value');
    const credential = at<HTMLInputElement>('purge-credential');
    const result = at('purge-result');
    try {
      const response = await fetch('/cache/purge', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(credential.value === '' ? {} : { authorization: `Bearer ${credential.value}` }),
        },
        body: JSON.stringify(what === 'all' ? { all: true } : { [what]: value.value }),
      });
      const told = await response.json();
      if (!response.ok) {
        result.replaceChildren(badge('refused', 'bad'), make('span', ` ${told.error.message}`));
        return;
      }
      value.value = '';
      const others =
        told.told === undefined
          ? ''
          : told.told
            ? ' The other gateways were told.'
            : ' The other gateways could not be told.';
      result.replaceChildren(
        badge('done', 'good'),
        make('span', ` ${whole(told.purged)} cached answers removed.${others}`),
      );
    } catch {
      result.replaceChildren(badge('no connection', 'bad'));
    }
  }
}
