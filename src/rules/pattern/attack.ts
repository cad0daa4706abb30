import { CANONICAL } from './canonical.js';

/** A text that makes matching slow: parts, of which the pumps are repeated, and an end. */
export interface Attack {
  readonly pumps: readonly { readonly prefix: string; readonly pump: string }[];
  readonly suffix: string;
  /** How often the pumps are repeated. */
  readonly base: number;
}

/** What stands in a path for a character that none can hold; the last ones match few expressions. */
const STAND_INS = ['a', '0', 'x', '-', '~', '!', '/a'];

/** How slashes that would make empty segments are written; the last way keeps them, which rules can allow. */
const SLASHES: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replace(/\/{2,}/g, '/'),
  (text) => text.replace(/(?<=.)\//g, 'a'),
  (text) => text.replace(/\//g, '/a'),
];

/**
 * Writes an attack as a path that requests can have: analysis finds any text, such as one with NULs.
 *
 * @param pattern compiled, anchored
 * @returns a JavaScript expression; undefined if no such path was found
 */
export function pathOfAttack(pattern: RegExp, attack: Attack): string | undefined {
  for (const allowed of [CANONICAL, /^\/[!-~]*$/]) {
    for (const slashes of SLASHES) {
      for (const inPump of STAND_INS) {
        for (const atEnd of STAND_INS) {
          const path = write(pattern, attack, allowed, (text, last) =>
            slashes(text.replace(/[^!-~]|[\\?#'"<>^`{|}%]/g, last ? atEnd : inPump)),
          );
          if (path !== undefined) return path;
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
): string | undefined {
  const parts = pumps.map(({ prefix, pump }, index) => {
    const start = settle(prefix, false);
    return [
      index === 0 && prefix.startsWith('/') && !start.startsWith('/') ? `/${start}` : start,
      settle(pump, false),
    ];
  });
  const end = settle(suffix, true);
  const path = `${parts.map(([prefix, pump = '']) => prefix + pump.repeat(3)).join('')}${end}`;
  // Only a path that is refused in the end is slow.
  if (!allowed.test(path) || pattern.test(path)) return undefined;
  const shown = parts.map(([prefix, pump]) => `'${prefix}' + '${pump}'.repeat(${base})`);
  return [...shown, ...(end === '' ? [] : [`'${end}'`])].join(' + ');
}

/**
 * A pattern whose matching takes as long on paths: at its end, `(.*)*` says no more than `.*`, and neither can fail,
 * because paths have no line feeds.
 *
 * @param source without anchors
 */
export function withPlainTail(source: string): string {
  return source.replace(/(?<!\\)\((?:\?:)?\.([*+])\)([*+])$/, (_, inner: string, outer: string) =>
    inner === '+' && outer === '+' ? '.+' : '.*',
  );
}
