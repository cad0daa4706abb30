import type { Session } from '../../model/mutator.js';
import { captureGroups, extraOf, headerValues } from './session.js';

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
    const end = rest.indexOf('}}', start);
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
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      const value = part.evaluate(session);
      return part.json ? toJson(value) : printed(value);
    })
    .join('');
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

const FIELD = /^\.[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;

function parseAction(action: string): Expression {
  if (action === '') throw new TemplateError('{{ }} is empty');
  if (action.startsWith('/*')) throw new TemplateError(`a comment is not supported in templates: ${FORMS}`);
  const piped = /^([^|"]+)\|\s*(toJson|print)$/.exec(action);
  if (piped !== null) return parseAction(`${piped[2]} ${(piped[1] as string).trim()}`);
  const words = action.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? [];
  const [first = '', ...args] = words;
  if (words.join(' ') !== action.replace(/\s+/g, ' ')) throw new TemplateError(unserved(action));

  if (first.startsWith('.')) {
    const header = /^\.MatchContext\.Header\.Get$/.test(first) ? text(args[0]) : undefined;
    if (header !== undefined && args.length === 1) {
      return plain((session) => headerValues(session.match, header)[0]);
    }
    if (args.length > 0) throw new TemplateError(unserved(action));
    return plain(field(first));
  }
  if (first === 'print' && args.length === 1) return plain(operand(args[0] as string, action));
  if (first === 'toJson' && args.length === 1) {
    return { evaluate: operand(args[0] as string, action), json: true };
  }
  if ((first === 'printIndex' || first === 'index') && args.length === 2) {
    const list = operand(args[0] as string, action);
    const at = first === 'index' ? (text(args[1]) ?? args[1]) : args[1];
    if (!/^\d+$/.test(at ?? '') && text(args[1]) === undefined) throw new TemplateError(unserved(action));
    return plain((session) => member(list(session), at as string));
  }
  throw new TemplateError(unserved(action));
}

function unserved(action: string): string {
  const [word = ''] = action.split(/\s/, 1);
  const what = /^[A-Za-z]\w*$/.test(word) ? `the function or keyword "${word}"` : `"{{ ${action} }}"`;
  return `${what} is not supported in templates: ${FORMS}`;
}

function plain(evaluate: (session: Session) => unknown): Expression {
  return { evaluate, json: false };
}

function operand(word: string, action: string): (session: Session) => unknown {
  const literal = text(word);
  if (literal !== undefined) return () => literal;
  if (!word.startsWith('.')) throw new TemplateError(unserved(action));
  return field(word);
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

/** Returns the function that reads a field of the session, by its path. */
function field(word: string): (session: Session) => unknown {
  if (!FIELD.test(word)) throw new TemplateError(unserved(word));
  const [root, ...path] = word.slice(1).split('.') as [string, ...string[]];
  switch (root) {
    case 'Subject':
      if (path.length === 0) return ({ subject }) => subject;
      break;
    case 'Extra': {
      const [name, ...more] = path;
      if (name === undefined) return ({ extra }) => extra;
      return (session) => more.reduce(member, extraOf(session, name));
    }
    case 'MatchContext': {
      const found = MATCH[path.join('.')];
      if (found !== undefined) return ({ match }) => found(match);
    }
  }
  throw new TemplateError(`the field "${word}" is not supported in templates: ${FORMS}`);
}

const MATCH: Readonly<Record<string, (match: Session['match']) => unknown>> = {
  Method: ({ method }) => method,
  RegexpCaptureGroups: captureGroups,
  'URL.Host': ({ host }) => host,
  'URL.Path': ({ path }) => path,
  'URL.RawQuery': ({ query }) => query.slice(1),
};
