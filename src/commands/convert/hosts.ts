import { globPattern, type Strategy } from './glob.js';

/** A host as a `match.url` writes it: literal text, and expressions between `<` and `>`. */
export interface HostPiece {
  readonly text: string;
  readonly pattern: boolean;
}

/** Expressions for any host, with a port or without. */
const ANY: Readonly<Record<Strategy, RegExp>> = {
  regexp:
    /^\(?(?:\?:)?(?:\.[*+]\??|\[\^\/\][*+]\??|\[\^:?\/:?\][*+]\??)\)?(?:\(?:\[?0?-?9?\\?d?\]?[+*]\)?\??)?$/,
  glob: /^\*\*$/,
};
/** A port, or an expression for one, at the end of a host. */
const PORT = /\(?:(?:\d+|\\d[+*]|\[0-9\][+*]|\d+(?:\|:?\d+)*)\)?\??$/;

/**
 * The hosts of a `match.url`, as an APIRule can have them.
 *
 * @param given the hosts of `--hosts`, which stand for expressions
 * @returns exact names, `*.suffix` or `*`; undefined if the expression is more than that
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

/** The names that the pieces list; undefined if they are more than a list. */
function listed(pieces: readonly HostPiece[], strategy: Strategy): string[] | undefined {
  let hosts = [''];
  for (const { text, pattern } of pieces) {
    const texts = pattern ? alternatives(text, strategy) : [text];
    if (texts === undefined) return undefined;
    hosts = hosts.flatMap((before) => texts.map((each) => before + each));
  }
  const names = hosts.map((host) => withoutPort(host).toLowerCase());
  return names.every((name) => name !== '') ? [...new Set(names)] : undefined;
}

/** Whether an expression takes this host, with a port or without. */
function fits(host: string, pieces: readonly HostPiece[], strategy: Strategy): boolean {
  const source = pieces
    .map(({ text, pattern }) => {
      if (!pattern) return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
      return strategy === 'regexp' ? `(?:${text})` : `(?:${globPattern(text)})`;
    })
    .join('');
  try {
    const expression = new RegExp(`^(?:${source})$`, 'i');
    return [host, `${host}:80`, `${host}:443`, `${host}:4455`, `${host}:8080`].some((each) =>
      expression.test(each),
    );
  } catch {
    return false;
  }
}

function withoutPort(host: string): string {
  return host.replace(PORT, '');
}

/**
 * The names that an expression lists; undefined if it is more than a list. An unescaped dot between names is taken
 * for a dot: that only narrows what Oathkeeper matched.
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
