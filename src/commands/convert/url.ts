import { escapeText, globPattern } from './glob.js';

/** What a `match.url` says, in the parts that an APIRule has. */
export interface MatchUrl {
  /** Exact names, or `*.suffix`. */
  readonly hosts: readonly string[];
  /** The expression for the whole path. */
  readonly path: string;
  /** Capture groups before the path, which an APIRule's path does not have. */
  readonly groupsBefore: number;
  /** What of it is not carried over. */
  readonly lost: readonly string[];
}

/** How Oathkeeper is told to read `<…>`: its setting `access_rules.matching_strategy`. */
export type Strategy = 'regexp' | 'glob';

/** A `match.url` that no APIRule can say. */
export class UnreadableUrl extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableUrl';
  }
}

interface Piece {
  readonly text: string;
  /** Whether it stood between `<` and `>`. */
  readonly pattern: boolean;
}

/** Expressions for no other schemes than http and https. */
const SCHEMES =
  /^\(?(?:\?:)?(?:https?|https\?|http\(s\)\?|http\(\?:s\)\?|http\|https|https\|http|https\{0,1\}|\{http,https\}|\{https,http\}|http\{,s\})\)?$/;

/**
 * Reads a `match.url`: a URL in which `<…>` are expressions or globs. The scheme is not kept, and a port neither: the
 * gateway answers on the listener it has, and compares hosts without a port.
 *
 * @throws UnreadableUrl when no APIRule can say it
 */
export function readMatchUrl(url: string, strategy: Strategy): MatchUrl {
  const pieces = split(url);
  const at = pieces.findIndex(({ text, pattern }) => !pattern && text.includes('://'));
  const head = pieces[at];
  if (head === undefined) throw new UnreadableUrl('its scheme and host do not stand apart');
  const colon = head.text.indexOf('://');
  const scheme = [...pieces.slice(0, at), { text: head.text.slice(0, colon), pattern: false }].filter(isSome);
  if (scheme.length !== 1 || !SCHEMES.test(scheme[0]?.text ?? '')) {
    throw new UnreadableUrl('its scheme is neither http, https nor either of them');
  }
  const rest = [{ text: head.text.slice(colon + 3), pattern: false }, ...pieces.slice(at + 1)].filter(isSome);
  const { host, path, lost } = divide(rest);
  const hosts = readHosts(host, strategy);
  const source = path.map((piece) => pathOf(piece, strategy)).join('');
  if (source === '') throw new UnreadableUrl('it has no path, and every request has one');
  return { hosts, path: source, groupsBefore: groups([...scheme, ...host], strategy), lost };
}

function isSome({ text }: Piece): boolean {
  return text !== '';
}

/** Brackets may nest; the outermost ones count. */
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

/** Divides what follows the scheme where the path begins. */
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
    // An expression behind a whole host begins the path; a dot or another name behind it makes it part of the host.
    if (piece.pattern && host.length > 0 && !/[.-]$/.test(host.at(-1)?.text ?? '') && !continuesHost(after)) {
      const name = host.map(({ text }) => text).join('');
      const closed = /^\(*(?:\?:)?\/|^\(?:\\d/.test(piece.text);
      const lost = closed ? [] : [`hosts and ports that only begin with ${name}`];
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
      throw new UnreadableUrl(`its host holds <${text}>, and an APIRule has names and *.suffix only`);
    }
    hosts = hosts.flatMap((before) => texts.map((each) => before + each));
  }
  return hosts.map((host) => withoutPort(host).toLowerCase());
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '');
}

/** The names that an expression lists, or undefined where it is more than a list. */
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

/** A dot of an expression is any character, which a name cannot be. */
function unescapedDot(text: string, strategy: Strategy): boolean {
  return strategy === 'regexp' && /(^|[^\\])\./.test(text);
}

function pathOf({ text, pattern }: Piece, strategy: Strategy): string {
  if (!pattern) return escapeText(encodeURI(decoded(text)));
  if (strategy === 'regexp') return `(${text})`;
  try {
    return `(?:${globPattern(text)})`;
  } catch (error) {
    throw new UnreadableUrl(`<${text}> is no glob: ${(error as Error).message}`);
  }
}

/** Oathkeeper compares decoded paths, scopegate canonical ones. */
function decoded(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    return text;
  }
}

/** The capture groups of the pieces: one for each, and those inside of it; globs have none. */
function groups(pieces: readonly Piece[], strategy: Strategy): number {
  if (strategy === 'glob') return 0;
  return pieces
    .filter(({ pattern }) => pattern)
    .reduce((sum, { text }) => sum + 1 + (text.match(/(?<!\\)\((?!\?(?!P?<[A-Za-z]))/g)?.length ?? 0), 0);
}
