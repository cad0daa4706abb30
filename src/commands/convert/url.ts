import { escapeText, globPattern } from './glob.js';

/** A `match.url`, divided into the parts that an APIRule has. */
export interface MatchUrl {
  /** Exact host names, or `*.suffix`. */
  readonly hosts: readonly string[];
  /** The regular expression for the whole path. */
  readonly path: string;
  /** The number of capture groups before the path; the path of an APIRule does not have them. */
  readonly groupsBefore: number;
  /** The parts that the APIRule omits, in words. */
  readonly lost: readonly string[];
}

/** How to read `<…>`: Oathkeeper's setting `access_rules.matching_strategy`. */
export type Strategy = 'regexp' | 'glob';

/** A `match.url` that an APIRule cannot express. */
export class UnreadableUrl extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableUrl';
  }
}

interface Piece {
  readonly text: string;
  /** Whether it stands between `<` and `>`. */
  readonly pattern: boolean;
}

/** Expressions that match only the schemes http and https. */
const SCHEMES =
  /^\(?(?:\?:)?(?:https?|https\?|http\(s\)\?|http\(\?:s\)\?|http\|https|https\|http|https\{0,1\}|\{http,https\}|\{https,http\}|http\{,s\})\)?$/;

/**
 * Reads a `match.url`: a URL in which `<…>` are regular expressions or globs. Scheme and port are dropped,
 * because scopegate serves all rules on its own listener and compares hosts without the port.
 *
 * @throws UnreadableUrl if an APIRule cannot express it
 */
export function readMatchUrl(url: string, strategy: Strategy): MatchUrl {
  const pieces = split(url);
  const at = pieces.findIndex(({ text, pattern }) => !pattern && text.includes('://'));
  const head = pieces[at];
  if (head === undefined)
    throw new UnreadableUrl(
      'it has no "://" outside of < and >, so its scheme and host cannot be told apart',
    );
  const colon = head.text.indexOf('://');
  const scheme = [...pieces.slice(0, at), { text: head.text.slice(0, colon), pattern: false }].filter(isSome);
  if (scheme.length !== 1 || !SCHEMES.test(scheme[0]?.text ?? '')) {
    throw new UnreadableUrl('its scheme must be http, https, or an expression for both');
  }
  const rest = [{ text: head.text.slice(colon + 3), pattern: false }, ...pieces.slice(at + 1)].filter(isSome);
  const { host, path, lost } = divide(rest);
  const hosts = readHosts(host, strategy);
  const source = path.map((piece) => pathOf(piece, strategy)).join('');
  if (source === '') throw new UnreadableUrl('it has no path; write / or <.*> after the host');
  return { hosts, path: source, groupsBefore: groups([...scheme, ...host], strategy), lost };
}

function isSome({ text }: Piece): boolean {
  return text !== '';
}

/** Splits at `<` and `>`. They may nest; the outermost ones count. */
function split(url: string): Piece[] {
  const pieces: Piece[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < url.length; i++) {
    if (url[i] === '<' && depth++ === 0) {
      pieces.push({ text: url.slice(start, i), pattern: false });
      start = i + 1;
    } else if (url[i] === '>') {
      if (--depth < 0) break;
      if (depth > 0) continue;
      pieces.push({ text: url.slice(start, i), pattern: true });
      start = i + 1;
    }
  }
  if (depth !== 0) throw new UnreadableUrl('its brackets < and > do not pair up');
  pieces.push({ text: url.slice(start), pattern: false });
  return pieces.filter(isSome);
}

/** Divides the part after the scheme into host and path. */
function divide(pieces: readonly Piece[]): { host: Piece[]; path: Piece[]; lost: string[] } {
  const host: Piece[] = [];
  for (const [index, piece] of pieces.entries()) {
    const slash = piece.pattern ? -1 : piece.text.indexOf('/');
    if (slash >= 0) {
      if (slash > 0) host.push({ text: piece.text.slice(0, slash), pattern: false });
      const path = [{ text: piece.text.slice(slash), pattern: false }, ...pieces.slice(index + 1)];
      return { host, path, lost: [] };
    }
    const after = pieces.slice(index + 1);
    // An expression after a complete host begins the path. If a dot or another name follows it, it belongs to
    // the host.
    if (piece.pattern && host.length > 0 && !/[.-]$/.test(host.at(-1)?.text ?? '') && !continuesHost(after)) {
      const name = host.map(({ text }) => text).join('');
      const closed = /^\(*(?:\?:)?\/|^\(?:\\d/.test(piece.text);
      const lost = closed
        ? []
        : [`hosts and ports that only begin with ${name}; the APIRule has the exact host`];
      return { host, path: [piece, ...after], lost };
    }
    host.push(piece);
  }
  return { host, path: [], lost: [] };
}

function continuesHost(after: readonly Piece[]): boolean {
  const [next] = after;
  return next !== undefined && !next.pattern && /^[A-Za-z0-9.-]/.test(next.text);
}

function readHosts(pieces: readonly Piece[], strategy: Strategy): string[] {
  const [first, ...rest] = pieces;
  if (first === undefined) throw new UnreadableUrl('it names no host');
  if (first.pattern && rest.length === 1 && rest[0]?.pattern === false && rest[0].text.startsWith('.')) {
    const any = strategy === 'regexp' ? /^(\.[*+]|\(\.[*+]\))$/ : /^\*\*$/;
    if (any.test(first.text)) return [`*${withoutPort(rest[0].text)}`];
  }
  let hosts = [''];
  for (const { text, pattern } of pieces) {
    const texts = pattern ? alternatives(text, strategy) : [text];
    if (texts === undefined) {
      throw new UnreadableUrl(`its host contains <${text}>; an APIRule only has exact names and *.suffix`);
    }
    hosts = hosts.flatMap((before) => texts.map((each) => before + each));
  }
  return hosts.map((host) => withoutPort(host).toLowerCase());
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '');
}

/** The names that an expression lists; undefined if it is more than a list. */
function alternatives(text: string, strategy: Strategy): string[] | undefined {
  if (/^\(?:\(?:?\\d[+*]\)?\)?\??$/.test(text)) return [''];
  const list = strategy === 'regexp' ? /^\(?(?:\?:)?([^()]*)\)?$/.exec(text) : /^\{([^{}]*)\}$/.exec(text);
  const names = list?.[1]
    ?.split(strategy === 'regexp' ? '|' : ',')
    .map((name) => name.replace(/\\([.-])/g, '$1'));
  return names?.every((name) => /^[A-Za-z0-9.-]+$/.test(name)) && !unescapedDot(text, strategy)
    ? names
    : undefined;
}

/** An unescaped dot matches any character, so the expression is not a list of names. */
function unescapedDot(text: string, strategy: Strategy): boolean {
  return strategy === 'regexp' && /(^|[^\\])\./.test(text);
}

function pathOf({ text, pattern }: Piece, strategy: Strategy): string {
  if (!pattern) return escapeText(encodeURI(decoded(text)));
  if (strategy === 'regexp') return `(${text})`;
  try {
    return `(?:${globPattern(text)})`;
  } catch (error) {
    throw new UnreadableUrl(`<${text}> is not a glob: ${(error as Error).message}`);
  }
}

/** Oathkeeper matches decoded paths, scopegate canonical ones. */
function decoded(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    return text;
  }
}

/**
 * The number of capture groups in the pieces: one for each expression, plus those inside it. Globs have none.
 */
function groups(pieces: readonly Piece[], strategy: Strategy): number {
  if (strategy === 'glob') return 0;
  return pieces
    .filter(({ pattern }) => pattern)
    .reduce((sum, { text }) => sum + 1 + (text.match(/(?<!\\)\((?!\?(?!P?<[A-Za-z]))/g)?.length ?? 0), 0);
}
