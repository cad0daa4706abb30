import type { RuleJson, RulesJson, StatusJson } from '../overview.js';
import { picture } from './containment.js';
import { at, badge, button, cell, code, count, facts, make, type Part, reconcile, setText } from './dom.js';
import { placeOf, whole } from './format.js';

/** The most rows that are shown before somebody asks for all. */
const SHOWN = 50;

interface Row {
  readonly rule: RuleJson;
  /** The text that the filter searches. */
  readonly text: string;
  rows: HTMLTableRowElement[] | undefined;
  allowed: number;
  denied: number;
  readonly cells: { readonly allowed: HTMLElement; readonly denied: HTMLElement };
}

type Column = 'id' | 'hosts' | 'path' | 'upstream' | 'allowed' | 'denied';

/** The rules in use: a table with a filter, and a picture of which rule contains which. */
export class Rules {
  #rows: Row[] = [];
  #column: Column = 'id';
  #isDescending = false;
  #shown = SHOWN;
  #isSorted = false;
  readonly #select: (rule: string) => void;

  /** @param select called when the reader asks for a rule's decisions */
  constructor(select: (rule: string) => void) {
    this.#select = select;
    at('rule-search').addEventListener('input', () => {
      this.#shown = SHOWN;
      this.#show();
    });
    at('all-rules').addEventListener('click', () => {
      this.#shown = Number.POSITIVE_INFINITY;
      this.#show();
    });
    for (const control of document.querySelectorAll<HTMLButtonElement>('#rules-table thead button')) {
      control.addEventListener('click', () => this.#sortBy(control.dataset.column as Column));
    }
  }

  show({ rules, proof }: RulesJson): void {
    this.#rows = rules.map((rule) => ({
      rule,
      text: [rule.id, rule.source, ...rule.hosts, ...rule.methods, rule.path, rule.upstream, scopesOf(rule)]
        .concat(rule.strategies.map(({ handler }) => handler))
        .join('\n')
        .toLowerCase(),
      rows: undefined,
      allowed: 0,
      denied: 0,
      cells: { allowed: count('0', 'allowed'), denied: count('0', 'denied') },
    }));
    this.#shown = SHOWN;
    this.#isSorted = false;
    this.#show();
    at('proof').replaceChildren(make('span', proofOf(rules, proof)));
    at('picture').replaceChildren(make('div', picture(rules, proof)));
  }

  /** Shows how many requests each rule has decided. */
  count(counts: StatusJson['counts']): void {
    for (const row of this.#rows) {
      const { allowed, denied } = counts[row.rule.id] ?? { allowed: 0, denied: 0 };
      if (allowed !== row.allowed) setText(row.cells.allowed.firstElementChild as Element, whole(allowed));
      if (denied !== row.denied) setText(row.cells.denied.firstElementChild as Element, whole(denied));
      Object.assign(row, { allowed, denied });
    }
  }

  #sortBy(column: Column): void {
    const isSame = this.#column === column;
    // The busiest first is what people look for.
    this.#isDescending = isSame ? !this.#isDescending : column === 'allowed' || column === 'denied';
    this.#column = column;
    this.#isSorted = false;
    this.#show();
  }

  #sort(): void {
    const key = (row: Row): string | number => {
      switch (this.#column) {
        case 'allowed':
        case 'denied':
          return row[this.#column];
        case 'hosts':
          return row.rule.hosts.join(' ');
        default:
          return row.rule[this.#column];
      }
    };
    const sign = this.#isDescending ? -1 : 1;
    const order = new Intl.Collator('en', { numeric: true });
    this.#rows.sort((a, b) => {
      const [left, right] = [key(a), key(b)];
      if (typeof left === 'number') return sign * (left - Number(right));
      return sign * order.compare(left, String(right));
    });
    for (const control of document.querySelectorAll<HTMLButtonElement>('#rules-table thead button')) {
      const isThis = control.dataset.column === this.#column;
      const head = control.closest('th');
      if (isThis) head?.setAttribute('aria-sort', this.#isDescending ? 'descending' : 'ascending');
      else head?.removeAttribute('aria-sort');
    }
    this.#isSorted = true;
  }

  #show(): void {
    if (!this.#isSorted) this.#sort();
    const words = at<HTMLInputElement>('rule-search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#rows.filter(({ text }) => words.every((word) => text.includes(word)));
    const shown = found.slice(0, this.#shown);
    reconcile(
      at('rules'),
      shown.flatMap((row) => {
        row.rows ??= this.#rowsOf(row);
        return row.rows;
      }),
    );
    const more = at('all-rules');
    more.hidden = shown.length === found.length;
    setText(more, `Show all ${found.length} rules`);
    at('no-rules').hidden = found.length > 0;
    const of = words.length === 0 ? `${this.#rows.length}` : `${found.length} of ${this.#rows.length}`;
    setText(at('rules-count'), `${of} in use`);
  }

  #rowsOf(row: Row): HTMLTableRowElement[] {
    const { rule, cells } = row;
    const rows: HTMLTableRowElement[] = [];
    const toggle = button(
      '',
      () => {
        const isOpen = rows.length > 1;
        if (isOpen) rows.pop()?.remove();
        else {
          const details = make('tr', detailsOf(rule, this.#select), 'details');
          rows.push(details);
          rows[0]?.after(details);
        }
        toggle.setAttribute('aria-expanded', String(!isOpen));
      },
      'toggle',
    );
    toggle.setAttribute('aria-expanded', 'false');
    toggle.setAttribute('aria-label', `Details of the rule ${rule.id}`);
    const name = make('th', [code(rule.id), make('small', placeOf(rule.source))]);
    name.scope = 'row';
    const handlers = rule.strategies.map(({ handler }) => handler).join(', ');
    const scopes = scopesOf(rule);
    rows.push(
      make('tr', [
        cell(toggle, 'fit'),
        name,
        cell(code(rule.hosts.join(' ')), 'wide-only'),
        cell(
          [
            code(`${rule.methods.join(' ')} ${rule.path}`),
            ...(rule.enforcement === 'observe' ? [' ', badge('observes', 'would')] : []),
          ],
          'request',
        ),
        cell([handlers, ...(scopes === '' ? [] : [' ', code(scopes)])], 'wide-only'),
        cell(code(rule.upstream), 'wide-only'),
        cells.allowed,
        cells.denied,
      ]),
    );
    return rows;
  }
}

function scopesOf({ strategies }: RuleJson): string {
  return strategies.flatMap(({ scopes }) => scopes).join(' ');
}

function detailsOf(rule: RuleJson, select: (rule: string) => void): HTMLTableCellElement {
  const allows = Object.entries(rule.allows)
    .filter(([, isAllowed]) => isAllowed)
    .map(([name]) => name);
  const { rewrite, preserveHost, authorizers = [], errors = [] } = rule;
  const entries: [string, string][] = [
    ['Source', rule.source],
    ['Hosts', rule.hosts.join(' ')],
    ['Methods', rule.methods.join(' ')],
    ['Path', rule.path],
    ['Access strategies', rule.strategies.map(({ handler }) => handler).join(', ')],
    ['Required scopes', scopesOf(rule)],
    ['Upstream', rule.upstream],
    ['Timeout', `${rule.timeoutMs / 1_000} s`],
    ['Enforcement', rule.enforcement],
    ['Authorizers', authorizers.join(', ')],
    ['Error handlers', errors.join(', ')],
    [
      'Path rewrite',
      rewrite === undefined
        ? ''
        : `strip ${rewrite.strip || 'nothing'}, prepend ${rewrite.base || 'nothing'}`,
    ],
    ['Preserve host', preserveHost === undefined ? '' : String(preserveHost)],
    ['Allows in paths', allows.join(', ')],
  ];
  const content = cell([
    facts(entries.filter(([, value]) => value !== '').map(([name, value]) => [name, code(value)])),
    make(
      'p',
      button('Decisions of this rule', () => select(rule.id)),
      'actions',
    ),
  ]);
  content.colSpan = 8;
  return content;
}

function proofOf(rules: readonly RuleJson[], { overlap, specific, unproved }: RulesJson['proof']): Part[] {
  const hosts = new Set(rules.flatMap((rule) => rule.hosts)).size;
  const isProved = unproved.length === 0;
  return [
    badge(isProved ? 'proved' : 'not all proved', isProved ? 'good' : 'bad'),
    isProved
      ? ` At most one of these ${rules.length} rules on ${hosts} ${hosts === 1 ? 'host' : 'hosts'} decides a request.`
      : ` scopegate could not prove for ${unproved.length === 1 ? 'one pair' : `${unproved.length} pairs`} of rules that they do not overlap. It refuses a request that both rules of a pair match.`,
    ` ${specific.length} ${specific.length === 1 ? 'rule lies' : 'rules lie'} inside others and ${specific.length === 1 ? 'decides' : 'decide'} there (`,
    code(`matching.overlap: ${overlap}`),
    ').',
  ];
}
