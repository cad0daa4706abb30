import type { Session } from '../../model/mutator.js';
import { fieldValues } from '../../parse/fields.js';
import { captureGroups, extraOf } from './session.js';

/** A parsed template. */
export interface Template {
  readonly parts: readonly (string | Expression)[];
}

/** The content of `{{ … }}`. */
export interface Expression {
  /** Returns the value for a session; undefined if it is absent. */
  evaluate(session: Session): unknown;
  /** Whether the value is written as JSON (`toJson`). */
  readonly json: boolean;
  /** Set for a command of Envoy whose value may not fit into a cookie. */
  readonly inCookie?: UnfitForCookie;
}

/** That the value of a command can hold a character that no cookie can (RFC 6265 section 4.1.1). */
export interface UnfitForCookie {
  /** The command as it is written. */
  readonly command: string;
  /** What such a value looks like. */
  readonly holds: string;
  /** Whether every value is one, whatever the request is. */
  readonly always: boolean;
}

/** A template that scopegate does not support. The message names the construct. */
export class TemplateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TemplateError';
  }
}

const FORMS =
  'use {{ .Subject }}, {{ .Extra.x }} or {{ .MatchContext.x }}, optionally with print, printIndex, index or toJson before them';

/** A value that an expression reads, before it is written. */
interface Operand extends Expression {
  /** Set for `.Extra` as a whole, whose members {@link extraOf} finds. */
  readonly isExtra?: true;
}

/**
 * Parses the part of Go's text/template that Oathkeeper's documentation uses: fields of the session, and the
 * functions `print`, `printIndex`, `index` and `toJson`.
 *
 * @throws TemplateError for anything else, because a template that is only partly supported would produce
 *   wrong values
 */
export function parseTemplate(text: string): Template {
  const parts: (string | Expression)[] = [];
  let trimmed = false;
  let rest = text;
  for (;;) {
    const start = rest.indexOf('{{');
    let literal = start < 0 ? rest : rest.slice(0, start);
    if (trimmed) literal = literal.trimStart();
    if (start < 0) {
      if (literal !== '') parts.push(literal);
      return { parts };
    }
    const end = endOf(rest, start + 2);
    if (end < 0) throw new TemplateError('{{ is never closed');
    let action = rest.slice(start + 2, end);
    if (/^-\s/.test(action)) {
      literal = literal.trimEnd();
      action = action.slice(1);
    }
    trimmed = /\s-$/.test(action);
    if (trimmed) action = action.slice(0, -1);
    if (literal !== '') parts.push(literal);
    parts.push(parseAction(action.trim()));
    rest = rest.slice(end + 2);
  }
}

/** Renders a template as plain text. */
export function renderText({ parts }: Template, session: Session): string {
  return parts.map((part) => (typeof part === 'string' ? part : written(part, session))).join('');
}

/**
 * Renders a template as the value of a header field. Blanks at the ends that the template itself has are left
 * out: in `{{ .Extra.given }} {{ .Extra.family }}` one stands at the end for a user without a family name. Those
 * of a value stay, so that whoever sends the field can refuse them.
 */
export function renderField({ parts }: Template, session: Session): string {
  const texts: string[] = [];
  // The blanks that wait for something behind them.
  let blanks = '';
  for (const part of parts) {
    const text = typeof part === 'string' ? part : written(part, session);
    if (typeof part !== 'string' && text !== '') {
      texts.push(texts.length === 0 ? '' : blanks, text);
      blanks = '';
      continue;
    }
    const [, before = '', middle = '', after = ''] = /^([\t ]*)(.*?)([\t ]*)$/s.exec(text) ?? [];
    if (middle === '') {
      blanks += before;
      continue;
    }
    texts.push(texts.length === 0 ? '' : blanks + before, middle);
    blanks = after;
  }
  return texts.join('');
}

function written(part: Expression, session: Session): string {
  const value = part.evaluate(session);
  return part.json ? toJson(value) : printed(value);
}

/** Writes a value as JSON; `null` if it is absent. */
export function toJson(value: unknown): string {
  return JSON.stringify(value ?? null);
}

/** Writes a JSON value as Go's `%v` does, but numbers without an exponent. Empty if the value is absent. */
export function printed(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return `[${value.map(inner).join(' ')}]`;
  if (typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, each]) => `${key}:${inner(each)}`).join(' ')}]`;
  }
  return String(value);
}

function inner(value: unknown): string {
  return value === null ? '<nil>' : printed(value);
}

/** Finds the end of the action that begins at `from`: the first `}}` that is not inside a string. */
function endOf(text: string, from: number): number {
  const rest = text.slice(from).replace(/"(?:[^"\\]|\\.)*"/g, (literal) => '_'.repeat(literal.length));
  const end = rest.indexOf('}}');
  return end < 0 ? end : from + end;
}

const FUNCTIONS: ReadonlySet<string> = new Set(['print', 'printIndex', 'index', 'toJson']);
const FIELD = /^\.[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const WORD = /"(?:[^"\\]|\\.)*"|[()|]|[^\s"()|]+/g;

function parseAction(action: string): Expression {
  if (action === '') throw new TemplateError('{{ }} is empty');
  if (action.startsWith('/*')) throw new TemplateError(`a comment is not supported in templates: ${FORMS}`);
  const words = action.match(WORD) ?? [];
  // What no word holds, such as a quotation mark alone, is left over.
  if (action.replace(WORD, '').trim() !== '') throw unserved(action);
  const parser = new Parser(words, action);
  const parsed = parser.pipeline();
  if (!parser.atEnd) throw unserved(action);
  return parsed;
}

/** How deep parentheses may be nested. */
const MAX_DEPTH = 20;

/** Parses one action: operands, calls of functions, `( … )` and `… | function`. */
class Parser {
  readonly #words: readonly string[];
  readonly #action: string;
  #at = 0;
  #depth = 0;

  constructor(words: readonly string[], action: string) {
    this.#words = words;
    this.#action = action;
  }

  get atEnd(): boolean {
    return this.#at === this.#words.length;
  }

  pipeline(): Operand {
    let value = this.#command();
    while (this.#words[this.#at] === '|') {
      this.#at++;
      value = this.#call(this.#words[this.#at++] ?? '', [value]);
    }
    return value;
  }

  #command(): Operand {
    const first = this.#words[this.#at] ?? '';
    if (/^[A-Za-z]/.test(first)) {
      this.#at++;
      return this.#call(first, []);
    }
    if (first === '.MatchContext.Header.Get') {
      const name = text(this.#words[this.#at + 1]);
      if (name === undefined) throw unserved(this.#action);
      this.#at += 2;
      return plain(({ match }) => fieldValues(match.rawHeaders, name)[0]);
    }
    return this.#operand();
  }

  #operand(): Operand {
    const word = this.#words[this.#at++] ?? '';
    if (word === '(') {
      // Each level calls this method again, and a stack overflow would end the loading.
      if (++this.#depth > MAX_DEPTH)
        throw new TemplateError(`an expression may have at most ${MAX_DEPTH} levels of parentheses`);
      const inner = this.pipeline();
      this.#depth--;
      if (this.#words[this.#at++] !== ')') throw unserved(this.#action);
      return inner.json ? plain((session) => toJson(inner.evaluate(session))) : inner;
    }
    const literal = text(word);
    if (literal !== undefined) return plain(() => literal);
    if (!word.startsWith('.')) throw unserved(this.#action);
    return field(word);
  }

  /** @param piped the value before the `|`, which becomes the last argument */
  #call(name: string, piped: readonly Operand[]): Operand {
    if (!FUNCTIONS.has(name)) throw unserved(this.#action);
    const [value, keys] =
      name === 'index' || name === 'printIndex' ? [this.#operand(), this.#keys()] : [piped[0], []];
    const done = value ?? this.#operand();
    if (name === 'print') return plain(reader(done));
    if (name === 'toJson') return { evaluate: done.evaluate, json: true };
    if ((name === 'index' || name === 'printIndex') && keys.length > 0 && piped.length === 0) {
      if (name === 'printIndex' && keys.length > 1) throw unserved(this.#action);
      return plain((session) => memberAt(done, keys, session));
    }
    throw unserved(this.#action);
  }

  /** The keys of an `index`: numbers and strings. */
  #keys(): string[] {
    const keys: string[] = [];
    for (;;) {
      const word = this.#words[this.#at];
      const key = text(word) ?? (/^\d+$/.test(word ?? '') ? word : undefined);
      if (key === undefined) return keys;
      keys.push(key);
      this.#at++;
    }
  }
}

function unserved(action: string): TemplateError {
  const [word = ''] = action.split(/\s/, 1);
  const what = /^[A-Za-z]\w*$/.test(word) ? `the function or keyword "${word}"` : `"{{ ${action} }}"`;
  return new TemplateError(`${what} is not supported in templates: ${FORMS}`);
}

function plain(evaluate: (session: Session) => unknown): Operand {
  return { evaluate, json: false };
}

/** How a nested value is read: `toJson` inside of another function gives a text. */
function reader({ evaluate, json }: Operand): (session: Session) => unknown {
  return json ? (session) => toJson(evaluate(session)) : evaluate;
}

function memberAt(value: Operand, [first = '', ...more]: readonly string[], session: Session): unknown {
  const found = value.isExtra ? extraOf(session, first) : member(value.evaluate(session), first);
  return more.reduce(member, found);
}

/** The value of a string literal; undefined if the word is not one. */
function text(word: string | undefined): string | undefined {
  if (word === undefined || !word.startsWith('"')) return undefined;
  try {
    return JSON.parse(word) as string;
  } catch {
    throw new TemplateError(`the string ${word} is not supported in templates: use escapes of JSON only`);
  }
}

function member(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return /^\d+$/.test(key) ? value[Number(key)] : undefined;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

/** Reads a field of the session, by its path. */
function field(word: string): Operand {
  if (!FIELD.test(word)) throw unserved(word);
  const [root, ...path] = word.slice(1).split('.') as [string, ...string[]];
  switch (root) {
    case 'Subject':
      if (path.length === 0) return plain(({ subject }) => subject);
      break;
    case 'Extra': {
      const [name, ...more] = path;
      if (name === undefined) return { evaluate: ({ extra }) => extra, json: false, isExtra: true };
      return plain((session) => more.reduce(member, extraOf(session, name)));
    }
    case 'MatchContext': {
      const found = MATCH.get(path.join('.'));
      if (found !== undefined) return plain(({ match }) => found(match));
    }
  }
  throw new TemplateError(`the field "${word}" is not supported in templates: ${FORMS}`);
}

const MATCH: ReadonlyMap<string, (match: Session['match']) => unknown> = new Map(
  Object.entries({
    Method: ({ method }: Session['match']) => method,
    RegexpCaptureGroups: captureGroups,
    'URL.Host': ({ host }: Session['match']) => host,
    'URL.Path': ({ path }: Session['match']) => path,
    'URL.RawQuery': ({ query }: Session['match']) => query.slice(1),
  }),
);
