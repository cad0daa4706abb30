import { escapeText, globPattern, type Strategy } from './glob.js';
import { type HostPiece as Piece, readHosts } from './hosts.js';

/** A `match.url`, divided into the parts that an APIRule has. */
export interface MatchUrl {
  /** Exact host names, `*.suffix`, or `*` for any host. */
  readonly hosts: readonly string[];
  /** The regular expression for the whole path. */
  readonly path: string;
  /**
   * The number of capture groups before the path. An APIRule does not have those groups. Infinite if a group
   * spans the host and the path.
   */
  readonly groupsBefore: number;
  /** The parts that the APIRule omits, in words. */
  readonly lost: readonly string[];
}

/** A `match.url` that an APIRule cannot express. */
export class UnreadableUrl extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnreadableUrl';
  }
}

/** Expressions that match only the schemes http and https. */
const SCHEMES =
  /^\(?(?:\?:)?(?:https?|https\?|http\(s\)\?|http\(\?:s\)\?|http\|https|https\|http|https\{0,1\}|\{http,https\}|\{https,http\}|http\{,s\}|http\{s,\})\)?$/;
/** What follows a literal `http` if both schemes match. */
const OPTIONAL_S = /^(?:s\?|\(s\)\?|\(\?:s\)\?|s\{0,1\}|\|s|s\||\{,s\}|\{s,\})$/;
/** An expression that holds the whole URL, or the beginning of it up to a place in its path. */
const WITH_SCHEME = /^(\(?(?:\?:)?[a-z|?()]*\)?):\/\/(.*)$/s;

/**
 * Reads a `match.url`: a URL in which `<…>` are regular expressions or globs. Scheme and port are dropped,
 * because scopegate serves all rules on its own listener and compares hosts without the port.
 *
 * @param given the hosts of `--hosts`, for URLs of any host
 * @throws UnreadableUrl if an APIRule cannot express it
 */
export function readMatchUrl(url: string, strategy: Strategy, given: readonly string[] = []): MatchUrl {
  const pieces = split(url);
  const at = pieces.findIndex(({ text, pattern }) => !pattern && text.includes('://'));
  const head = pieces[at];
  if (head === undefined) return readWhole(pieces, strategy, given);
  const colon = head.text.indexOf('://');
  const scheme = [...pieces.slice(0, at), { text: head.text.slice(0, colon), pattern: false }].filter(isSome);
  const [first, second, ...more] = scheme;
  const both =
    first?.pattern === false && first.text === 'http' && second?.pattern === true && more.length === 0
      ? OPTIONAL_S.test(second.text)
      : scheme.length === 1 && SCHEMES.test(first?.text ?? '');
  if (!both) throw new UnreadableUrl('its scheme must be http, https, or an expression for both');
  const rest = [{ text: head.text.slice(colon + 3), pattern: false }, ...pieces.slice(at + 1)].filter(isSome);
  return readRest(rest, groups(scheme, strategy), strategy, given);
}

/** Reads a URL whose scheme is inside an expression. */
function readWhole(pieces: readonly Piece[], strategy: Strategy, given: readonly string[]): MatchUrl {
  const [first, ...more] = pieces;
  const parts = first?.pattern === true && strategy === 'regexp' ? WITH_SCHEME.exec(first.text) : null;
  const [, scheme = '', rest = ''] = parts ?? [];
  if (!SCHEMES.test(scheme)) {
    throw new UnreadableUrl(
      'it has no "://" outside of < and >, so its scheme and host cannot be told apart',
    );
  }
  const slash = rest.indexOf('/');
  const host = slash < 0 ? rest : rest.slice(0, slash);
  if (!balanced(host)) throw new UnreadableUrl('its host and path cannot be told apart');
  const path = slash < 0 ? [] : [{ text: rest.slice(slash), pattern: true }];
  const found = readRest(
    [{ text: host, pattern: true }, ...path, ...more].filter(isSome),
    0,
    strategy,
    given,
  );
  return { ...found, groupsBefore: Number.POSITIVE_INFINITY };
}

function balanced(text: string): boolean {
  const count = (bracket: string): number => text.split(bracket).length;
  return count('(') === count(')') && count('[') === count(']');
}

/** Joins a colon before the path and the expression after it into one expression for the port. */
function withPorts(pieces: readonly Piece[]): Piece[] {
  const at = pieces.findIndex(({ text, pattern }) => !pattern && /^[^/]*:$/.test(text));
  const [name, port] = [pieces[at], pieces[at + 1]];
  if (name === undefined || port?.pattern !== true) return [...pieces];
  const joined = [
    { text: name.text.slice(0, -1), pattern: false },
    { text: `:${port.text}`, pattern: true },
  ];
  return [...pieces.slice(0, at), ...joined, ...pieces.slice(at + 2)].filter(isSome);
}

/** @param before the number of capture groups in the scheme */
function readRest(
  rest: readonly Piece[],
  before: number,
  strategy: Strategy,
  given: readonly string[],
): MatchUrl {
  const { host, path, lost } = divide(withPorts(rest));
  if (host.length === 0) throw new UnreadableUrl('it names no host');
  const hosts = readHosts(host, strategy, given);
  const name = host.map(({ text, pattern }) => (pattern ? `<${text}>` : text)).join('');
  if (hosts === undefined) {
    throw new UnreadableUrl(
      `its host contains ${name}; an APIRule can have exact names, *.suffix or any host: list your hosts with --hosts`,
    );
  }
  const wide = host.some(
    ({ text, pattern }) => pattern && (strategy === 'regexp' ? /\.[*+]/ : /\*\*/).test(text),
  );
  const source = path.map((piece) => pathOf(piece, strategy)).join('');
  if (source === '') {
    // An expression that matches any text matches the path too.
    if (!wide) throw new UnreadableUrl('it has no path; write / or <.*> after the host');
    return { hosts, path: '/.*', groupsBefore: Number.POSITIVE_INFINITY, lost };
  }
  const narrowed = `hosts that go on with a path, which ${name} takes as well; the APIRule has the path behind it`;
  return {
    hosts,
    path: source,
    groupsBefore: before + groups(host, strategy),
    lost: wide && hosts.includes('*') ? [...lost, narrowed] : lost,
  };
}

function isSome({ text }: Piece): boolean {
  return text !== '';
}

/** Splits a URL at `<` and `>`. They may be nested; only the outermost ones count. */
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
  if (depth !== 0) throw new UnreadableUrl('its brackets < and > are not balanced');
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
    if (
      piece.pattern &&
      host.length > 0 &&
      !piece.text.startsWith(':') &&
      !/[.-]$/.test(host.at(-1)?.text ?? '') &&
      !continuesHost(after)
    ) {
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

function pathOf({ text, pattern }: Piece, strategy: Strategy): string {
  if (!pattern) return escapeText(encodeURI(decoded(text)));
  if (strategy === 'regexp') return `(${text})`;
  try {
    return `(?:${globPattern(text)})`;
  } catch (error) {
    throw new UnreadableUrl(`<${text}> is not a glob: ${(error as Error).message}`);
  }
}

/** Decodes escapes, because Oathkeeper matches decoded paths and scopegate matches canonical ones. */
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
