import { CANONICAL } from './canonical.js';

/** A text that makes matching slow: prefixes, each with a pump that is repeated, and a suffix. */
export interface Attack {
  readonly pumps: readonly { readonly prefix: string; readonly pump: string }[];
  readonly suffix: string;
  /** How often each pump is repeated. */
  readonly base: number;
}

/** Replacements for characters that no path can have. The last ones match few expressions. */
const STAND_INS = ['a', '0', 'x', '-', '~', '!', '/a'];

/**
 * Ways to write slashes, because most paths have no empty segments. The first way keeps empty segments, which
 * rules can allow.
 */
const SLASHES: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replace(/\/{2,}/g, '/'),
  (text) => text.replace(/(?<=.)\//g, 'a'),
  (text) => text.replace(/\//g, '/a'),
];

/**
 * Writes an attack as a path that a request can have. The analysis finds any text, for example one with NULs.
 *
 * @param pattern is compiled and anchored
 * @param absent a character that the path must not have
 * @returns a JavaScript expression; undefined if no such path was found
 */
export function pathOfAttack(pattern: RegExp, attack: Attack, absent?: string): string | undefined {
  for (const allowed of [CANONICAL, /^\/[!-~]*$/]) {
    for (const slashes of SLASHES) {
      for (const inPump of STAND_INS) {
        for (const atEnd of STAND_INS) {
          const path = write(pattern, attack, allowed, (text, last) =>
            slashes(text.replace(/[^!-~]|[\\?#'"<>^`{|}%]/g, last ? atEnd : inPump)),
          );
          if (path !== undefined && (absent === undefined || !path.shows(absent))) return path.text;
        }
      }
    }
  }
  return undefined;
}

function write(
  pattern: RegExp,
  { pumps, suffix, base }: Attack,
  allowed: RegExp,
  settle: (text: string, last: boolean) => string,
): { readonly text: string; shows(character: string): boolean } | undefined {
  const parts = pumps.map(({ prefix, pump }, index) => {
    const start = settle(prefix, false);
    return [
      index === 0 && prefix.startsWith('/') && !start.startsWith('/') ? `/${start}` : start,
      settle(pump, false),
    ];
  });
  const end = settle(suffix, true);
  const path = `${parts.map(([prefix, pump = '']) => prefix + pump.repeat(3)).join('')}${end}`;
  // Matching is slow only if the path does not match in the end.
  if (!allowed.test(path) || pattern.test(path)) return undefined;
  const shown = parts.map(
    ([prefix, pump]) => `${prefix === '' ? '' : `'${prefix}' + `}'${pump}'.repeat(${base})`,
  );
  const text = [...shown, ...(end === '' ? [] : [`'${end}'`])].join(' + ');
  return { text, shows: (character) => path.includes(character) };
}

/**
 * Narrows a pattern, so that its dots no longer match one character. On texts without that character it
 * matches the same in the same time, so an attack on it is also an attack on the pattern. If `.*` at the end
 * matches any rest, the analysis of the pattern itself finds only texts with a line feed, which no path has.
 *
 * @param source without anchors
 */
export function withoutCharacter(source: string, character: string): string {
  return source.replace(/\\.|\[(?:\\.|[^\]])*\]|\./g, (token) =>
    token === '.' ? `[^${character}\\n\\r\\u2028\\u2029]` : token,
  );
}

/** The characters that a pattern names and that {@link withoutCharacter} may take away. */
export function namedCharacters(source: string): string[] {
  return [...new Set(source.replace(/\\.|\[(?:\\.|[^\]])*\]/g, '').match(/[A-Za-z0-9_~!&'=:@,;%]/g) ?? [])];
}

/**
 * Simplifies a pattern without changing how long it takes on paths: at its end, `(.*)*` means the same as
 * `.*`. Neither can fail there, because paths have no line feeds.
 *
 * @param source without anchors
 */
export function withPlainTail(source: string): string {
  return source.replace(/(?<!\\)\((?:\?:)?\.([*+])\)([*+])$/, (_, inner: string, outer: string) =>
    inner === '+' && outer === '+' ? '.+' : '.*',
  );
}
