import { compileOriginPattern } from '../../rules/pattern/pattern.js';
import { escapeText, globPattern, type Strategy } from './glob.js';

/** A part of the host in a `match.url`: literal text, or an expression between `<` and `>`. */
export interface HostPiece {
  readonly text: string;
  readonly pattern: boolean;
}

/** Expressions that match any host, with or without a port. */
const ANY: Readonly<Record<Strategy, RegExp>> = {
  regexp:
    /^\(?(?:\?:)?(?:\.[*+]\??|\[\^\/\][*+]\??|\[\^:?\/:?\][*+]\??)\)?(?:\(?:\[?0?-?9?\\?d?\]?[+*]\)?\??)?$/,
  glob: /^\*\*$/,
};
/** The most names that a host may list. */
const MAX_HOSTS = 1_000;
/** A port, or an expression for one, at the end of a host. */
const PORT = /\(?:(?:\d+|\\d[+*]|\[0-9\][+*]|\d+(?:\|:?\d+)*)\)?\??$/;

/**
 * The hosts of a `match.url`, in the forms that an APIRule can have.
 *
 * @param given the hosts of `--hosts`, which replace an expression that matches them
 * @returns exact names, `*.suffix` or `*`; undefined if the expression cannot be written so
 */
export function readHosts(
  pieces: readonly HostPiece[],
  strategy: Strategy,
  given: readonly string[],
): string[] | undefined {
  const known = listed(pieces, strategy);
  if (known !== undefined) return known;
  const fitting = given.filter((host) => fits(host, pieces, strategy));
  if (fitting.length > 0) return fitting;
  const [first, ...rest] = pieces;
  if (first?.pattern !== true || !ANY[strategy].test(first.text)) return undefined;
  const suffix = withoutPort(rest.map(({ text }) => text).join(''));
  if (suffix === '') return ['*'];
  const plain = rest.every(({ pattern }) => !pattern) && /^\.[A-Za-z0-9.-]+$/.test(suffix);
  return plain ? [`*${suffix.toLowerCase()}`] : undefined;
}

/** The names that the pieces list; undefined if they are not just a list of names. */
function listed(pieces: readonly HostPiece[], strategy: Strategy): string[] | undefined {
  let hosts = [''];
  for (const { text, pattern } of pieces) {
    const texts = pattern ? alternatives(text, strategy) : [text];
    if (texts === undefined) return undefined;
    // Each list multiplies the number of names: thirty lists of two names would be a thousand million.
    if (hosts.length * texts.length > MAX_HOSTS) return undefined;
    hosts = hosts.flatMap((before) => texts.map((each) => before + each));
  }
  const names = hosts.map((host) => withoutPort(host).toLowerCase());
  return names.every((name) => name !== '') ? [...new Set(names)] : undefined;
}

/** Whether an expression matches this host, with or without a port. */
function fits(host: string, pieces: readonly HostPiece[], strategy: Strategy): boolean {
  const sources = pieces.map(({ text, pattern }) => {
    if (!pattern) return escapeText(text);
    return strategy === 'regexp' ? `(?:${text})` : groupOf(text);
  });
  // No host matches what is not a glob.
  if (sources.includes(undefined)) return false;
  const source = sources.join('');
  // Not `new RegExp`: the expression may take exponential time, and need not be in JavaScript's dialect.
  const compiled = compileOriginPattern(`(?i)${source}`);
  return (
    compiled.ok &&
    [host, `${host}:80`, `${host}:443`, `${host}:4455`, `${host}:8080`].some((each) =>
      compiled.pattern.test(each),
    )
  );
}

/** A glob as a group of a regular expression; undefined if it is not a glob. */
function groupOf(glob: string): string | undefined {
  try {
    return `(?:${globPattern(glob)})`;
  } catch {
    return undefined;
  }
}

function withoutPort(host: string): string {
  return host.replace(PORT, '');
}

/**
 * The names that an expression lists; undefined if it is not just a list of names. An unescaped dot between
 * names is read as a literal dot: the APIRule then only matches less than Oathkeeper did.
 */
function alternatives(text: string, strategy: Strategy): string[] | undefined {
  if (new RegExp(`^${PORT.source}`).test(text)) return [''];
  const bare = strategy === 'regexp' ? withoutPort(text) : text;
  const list = strategy === 'regexp' ? /^\(?(?:\?:)?([^()]*)\)?$/.exec(bare) : /^\{([^{}]*)\}$/.exec(bare);
  const names = list?.[1]
    ?.split(strategy === 'regexp' ? '|' : ',')
    .map((name) => withoutPort(name).replace(/\\([.-])/g, '$1'));
  return names?.every((name) => /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name)) ? names : undefined;
}
