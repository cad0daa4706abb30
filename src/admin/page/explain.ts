import type { DecisionJson } from '../overview.js';
import { at, badge, cell, code, headRow, make, type Part } from './dom.js';

/** What `POST /explain` returns; `scopegate explain --json` prints the same. */
interface Explanation {
  readonly decision: 'allow' | 'deny';
  readonly status: number;
  readonly rule?: string;
  readonly upstream?: string;
  readonly error?: string;
  readonly reason?: string;
  readonly candidates?: readonly {
    readonly rule: string;
    readonly methods: readonly string[];
    readonly path: string;
    readonly scopes: readonly string[];
    readonly failed: string;
  }[];
}

const VERDICTS: Readonly<Record<string, string>> = {
  host: 'other host',
  method: 'other method',
  path: 'other path',
  overridden: 'a more specific rule decides',
  contested: 'another rule matches too, and scopegate cannot prove which is more specific: refused',
  decision: 'decides: denied',
  none: 'decides: allowed',
};

/** The form that explains the decision about a request. */
export class Explain {
  constructor() {
    at('explain').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#ask();
    });
    at('token').addEventListener('change', () => this.#tokenChanged());
  }

  /**
   * Explains a request from the list of decisions. Its scopes are not known: a decision does not keep them.
   */
  about({ method, host = '', path = '', introspection, subject, clientId }: DecisionJson): void {
    at<HTMLInputElement>('method').value = method;
    at<HTMLInputElement>('url').value = `https://${host}${path}`;
    at<HTMLInputElement>('token').checked =
      introspection !== undefined || subject !== undefined || clientId !== undefined;
    this.#tokenChanged();
    at('explain-title').focus();
    at('explain-title').scrollIntoView();
    void this.#ask();
  }

  #tokenChanged(): void {
    at<HTMLInputElement>('scopes').disabled = !at<HTMLInputElement>('token').checked;
  }

  async #ask(): Promise<void> {
    const scopes = at<HTMLInputElement>('scopes').value.split(' ').filter(Boolean);
    const question = {
      method: at<HTMLInputElement>('method').value.trim(),
      url: at<HTMLInputElement>('url').value.trim(),
    };
    const answer = at('answer');
    try {
      const response = await fetch('/explain', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(at<HTMLInputElement>('token').checked ? { ...question, scopes } : question),
      });
      const told = await response.json();
      if (response.ok) answer.replaceChildren(...answerOf(told as Explanation));
      else answer.replaceChildren(make('p', [badge('error', 'bad'), ` ${told.error.message}`]));
    } catch {
      answer.replaceChildren(make('p', badge('no connection', 'bad')));
    }
  }
}

function answerOf({ decision, status, rule, upstream, error, reason, candidates = [] }: Explanation): Node[] {
  const lead: Part[] =
    decision === 'allow'
      ? [
          badge('allowed', 'good'),
          ' ',
          code(rule ?? ''),
          ' decides; the request goes to ',
          code(upstream ?? ''),
        ]
      : [
          badge('denied', 'warn'),
          ` ${status} ${error}: ${reason}.`,
          ...(rule === undefined ? [] : [' ', code(rule), ' decides.']),
        ];
  const near = candidates.filter(({ failed }) => failed !== 'host');
  const far = candidates.length - near.length;
  const rows = near.map((each) =>
    make('tr', [
      cell(code(each.rule)),
      cell(code(`${each.methods.join(' ')} ${each.path}`), 'request'),
      cell(each.scopes.length === 0 ? '–' : code(each.scopes.join(' '))),
      cell(VERDICTS[each.failed] ?? each.failed),
    ]),
  );
  const parts: Node[] = [make('p', lead)];
  if (rows.length > 0) {
    const table = make('table', [
      make('thead', headRow(['Rule', 'Requests', 'Required scopes', 'Verdict'])),
      make('tbody', rows),
    ]);
    parts.push(make('div', table, 'scroll'));
  }
  if (far > 0)
    parts.push(make('p', `${far} ${far === 1 ? 'rule is' : 'rules are'} for other hosts.`, 'quiet'));
  return parts;
}
