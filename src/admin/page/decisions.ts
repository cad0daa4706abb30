import type { DecisionJson } from '../overview.js';
import { at, badge, button, cell, code, docs, facts, make, type Part, reconcile, setText } from './dom.js';
import { clock, dateTime, duration } from './format.js';

/** The most decisions of each kind that are kept; `/status` has no more. */
const KEPT = 200;
/** The most rows that are shown before somebody asks for more. */
const SHOWN = 50;

/** The outcome of a request; the same as in `/series`. */
type Outcome = 'allowed' | 'wouldDeny' | 'denied' | 'failed';

const LABELS: Readonly<Record<Outcome, readonly [text: string, kind: string]>> = {
  allowed: ['allowed', 'good'],
  wouldDeny: ['would deny', 'would'],
  denied: ['denied', 'warn'],
  failed: ['failed', 'bad'],
};

function outcomeOf({ status, decision, wouldDeny }: DecisionJson): Outcome {
  if (status >= 500) return 'failed';
  if (decision === 'deny') return 'denied';
  return wouldDeny === undefined ? 'allowed' : 'wouldDeny';
}

/** Whether it is kept with the allowed ones; the same as on the server. */
function isRoutine({ decision, wouldDeny, error, cause, status }: DecisionJson): boolean {
  return (
    decision === 'allow' &&
    wouldDeny === undefined &&
    error === undefined &&
    cause === undefined &&
    status < 500
  );
}

/** The last decisions: a table with filters, and details of each. */
export class Decisions {
  #all: DecisionJson[] = [];
  #isPaused = false;
  #shown = SHOWN;
  readonly #open = new Set<number>();
  readonly #rows = new Map<number, HTMLTableRowElement[]>();
  readonly #explain: (decision: DecisionJson) => void;

  /** @param explain called when the reader asks for an explanation of a decision */
  constructor(explain: (decision: DecisionJson) => void) {
    this.#explain = explain;
    for (const id of ['search', 'outcome', 'by-rule']) {
      at(id).addEventListener('input', () => {
        this.#shown = SHOWN;
        this.#show();
      });
    }
    at('pause').addEventListener('click', () => this.#pause(!this.#isPaused));
    at('clear').addEventListener('click', () => this.filter({ rule: '', outcome: '', search: '' }));
    at('more-decisions').addEventListener('click', () => {
      this.#shown += SHOWN;
      this.#show();
    });
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Removes the decisions of another process. */
  reset(): void {
    this.#all = [];
    this.#rows.clear();
    this.#open.clear();
    this.#show();
  }

  /** Adds decisions, the oldest first. */
  add(recent: readonly DecisionJson[]): void {
    if (recent.length === 0) return;
    const all = [...[...recent].reverse(), ...this.#all];
    const kept = [
      ...all.filter(isRoutine).slice(0, KEPT),
      ...all.filter((each) => !isRoutine(each)).slice(0, KEPT),
    ];
    this.#all = kept.sort((a, b) => b.seq - a.seq);
    this.#show();
  }

  /** Offers these rules in the filter. */
  offer(rules: readonly string[]): void {
    const select = at<HTMLSelectElement>('by-rule');
    const chosen = select.value;
    const options = [['', 'All rules'], ['none', 'No rule'], ...rules.map((id) => [id, id])].map(
      ([value, text]) => {
        const option = make('option', text);
        option.value = value as string;
        return option;
      },
    );
    select.replaceChildren(...options);
    select.value = chosen;
    if (select.selectedIndex === -1) select.value = '';
  }

  /** Sets the filters, and scrolls to the table. */
  filter(by: { rule?: string; outcome?: string; search?: string }): void {
    if (by.rule !== undefined) at<HTMLSelectElement>('by-rule').value = by.rule;
    if (by.outcome !== undefined) at<HTMLSelectElement>('outcome').value = by.outcome;
    if (by.search !== undefined) at<HTMLInputElement>('search').value = by.search;
    this.#shown = SHOWN;
    this.#show();
    at('decisions-title').focus();
  }

  #pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    const toggle = at('pause');
    toggle.setAttribute('aria-pressed', String(isPaused));
    setText(toggle, isPaused ? 'Resume' : 'Pause');
    this.#show();
  }

  #show(): void {
    const rule = at<HTMLSelectElement>('by-rule').value;
    const outcome = at<HTMLSelectElement>('outcome').value;
    const words = at<HTMLInputElement>('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#all.filter(
      (each) =>
        (rule === '' || (each.rule ?? 'none') === rule) &&
        (outcome === '' || outcomeOf(each) === outcome || (outcome === 'notAllowed' && !isRoutine(each))) &&
        hasAll(each, words),
    );
    const shown = found.slice(0, this.#shown);
    const rows = shown.flatMap((each) => this.#rowsOf(each));
    const seqs = new Set(this.#all.map(({ seq }) => seq));
    for (const seq of this.#rows.keys()) if (!seqs.has(seq)) this.#rows.delete(seq);
    reconcile(at('decisions'), rows);
    const isFiltered = rule !== '' || outcome !== '' || words.length > 0;
    const none = this.#all.length === 0 ? 'No decisions yet.' : 'No decision matches the filters.';
    setText(at('no-decisions'), none);
    at('no-decisions').hidden = found.length > 0;
    at('decisions-table').hidden = found.length === 0;
    at('more-decisions').hidden = found.length <= shown.length;
    at('clear').hidden = !isFiltered;
    const of = isFiltered ? `${found.length} of ${this.#all.length}` : `${this.#all.length}`;
    setText(at('decisions-count'), `${of} kept${this.#isPaused ? ', paused' : ''}`);
  }

  #rowsOf(decision: DecisionJson): HTMLTableRowElement[] {
    const known = this.#rows.get(decision.seq);
    if (known !== undefined) return known;
    const rows: HTMLTableRowElement[] = [];
    const { seq, at: time, status, method, host = '', path = '', rule, clientId, ms } = decision;
    const [text, kind] = LABELS[outcomeOf(decision)];
    const toggle = button(
      '',
      () => {
        if (this.#open.delete(seq)) rows.pop()?.remove();
        else {
          this.#open.add(seq);
          const details = make('tr', this.#detailsOf(decision), 'details');
          rows.push(details);
          rows[0]?.after(details);
        }
        toggle.setAttribute('aria-expanded', String(this.#open.has(seq)));
      },
      'toggle',
    );
    toggle.setAttribute('aria-expanded', 'false');
    toggle.setAttribute('aria-label', `Details of ${method} ${host}${path} at ${clock(time)}`);
    rows.push(
      make('tr', [
        cell(toggle, 'fit'),
        cell(clock(time), 'fit'),
        cell(badge(text, kind), 'fit'),
        cell(status === 0 ? 'closed' : status, 'fit'),
        cell(code(`${method} ${host}${path}`), 'request'),
        cell(reasonOf(decision), 'reason'),
        cell(rule === undefined ? '–' : code(rule), 'fit wide-only'),
        cell(clientId === undefined ? '–' : code(clientId), 'client wide-only'),
        cell(duration(ms), 'number'),
      ]),
    );
    this.#rows.set(seq, rows);
    return rows;
  }

  #detailsOf(decision: DecisionJson): HTMLTableCellElement {
    const { error, wouldDeny, rule } = decision;
    const name = error ?? wouldDeny;
    const links: Part[] = [button('Explain this request', () => this.#explain(decision))];
    if (rule !== undefined) links.push(button('Only this rule', () => this.filter({ rule })));
    if (name !== undefined) links.push(docs(`errors.md#${name}`, `What to do about ${name}`));
    const content = cell([facts(factsOf(decision)), timing(decision), make('p', links, 'actions')]);
    content.colSpan = 9;
    return content;
  }
}

/** Why a request was denied or failed, in words. */
function reasonOf({ error, wouldDeny, reason, cause }: DecisionJson): Part[] {
  const name = error ?? wouldDeny;
  const why = [reason, cause].filter((part) => part !== undefined).join(': ');
  if (name === undefined) return [why === '' ? '–' : why];
  return [make('b', name), why === '' ? '' : ` ${why}`];
}

function hasAll(each: DecisionJson, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { requestId, traceId, peer, method, host, path, rule, error, wouldDeny, reason, cause } = each;
  const texts = [
    requestId,
    traceId,
    peer,
    `${method} ${host ?? ''}${path ?? ''}`,
    rule,
    error,
    wouldDeny,
    reason,
  ];
  const all = [...texts, cause, each.subject, each.clientId, each.status].join('\n').toLowerCase();
  return words.every((word) => all.includes(word));
}

const ENTRANCES = { proxy: 'proxy listener', decisions: 'forward-auth', fastify: 'Fastify plugin' };

function factsOf(decision: DecisionJson): [string, Part | readonly Part[]][] {
  const { introspection, introspectionMs, upstreamStatus, reason, cause } = decision;
  const entries: [string, string | number | undefined][] = [
    ['Request ID', decision.requestId],
    ['Trace ID', decision.traceId],
    ['Ended', dateTime(decision.at)],
    ['Came in at', ENTRANCES[decision.entrance]],
    ['Peer', decision.peer],
    ['Method', decision.method],
    ['Host', decision.host],
    ['Path', decision.path],
    ['Path sent upstream', decision.upstreamPath],
    ['Rule', decision.rule],
    ['Subject', decision.subject],
    ['Client', decision.clientId],
    [
      'Introspection',
      introspection === undefined
        ? undefined
        : `${introspection}${introspectionMs === undefined ? '' : `, ${duration(introspectionMs)}`}`,
    ],
    ['Upstream status', upstreamStatus],
    ['Reason', reason],
    ['Cause', cause],
    ['Revocation', decision.revocation],
  ];
  return entries.flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, code(String(value))]],
  );
}

/** Where the time went, as a bar. */
function timing({ decisionMs, introspectionMs = 0, upstreamMs = 0, ms }: DecisionJson): HTMLElement {
  const parts = [
    ['introspection', 'part-introspection', introspectionMs],
    ['decision', 'part-decision', Math.max(0, decisionMs - introspectionMs)],
    ['upstream', 'part-upstream', upstreamMs],
    ['rest', 'part-rest', Math.max(0, ms - decisionMs - upstreamMs)],
  ].filter(([, , share]) => Number(share) > 0) as [string, string, number][];
  const bar = make(
    'div',
    parts.map(([, className, share]) => {
      const part = make('span', [], className);
      part.style.flexGrow = String(share);
      return part;
    }),
    'timing',
  );
  const list = make(
    'ul',
    [
      ...parts.map(([name, className, share]) =>
        make('li', [make('span', [], `key ${className}`), name, ' ', make('b', duration(share))]),
      ),
      make('li', ['total ', make('b', duration(ms))]),
    ],
    'legend',
  );
  return make('div', [bar, list]);
}
