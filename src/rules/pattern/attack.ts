import { canonicalPath } from '../../parse/target.js';

/** A text that makes matching slow: prefixes, each with a pump that is repeated, and a suffix. */
export interface Attack {
  readonly pumps: readonly { readonly prefix: string; readonly pump: string }[];
  readonly suffix: string;
  /** How often each pump is repeated. */
  readonly base: number;
}

/** As many repetitions show whether a path can be requested. More make no difference. */
const TRIED = 3;
/** The longest path that is shown, in characters. By default, longer ones are refused before they are matched. */
const LONGEST = 8_000;

/**
 * Writes an attack as a request would have it.
 *
 * @param attack a path as it is matched: canonical, or as an upstream may read it, with some escapes decoded
 * @returns a JavaScript expression; undefined if no request can have this path
 */
export function requestOfAttack(attack: Attack): string | undefined {
  const pumps = attack.pumps.map(({ prefix, pump }) => ({ prefix: escaped(prefix), pump: escaped(pump) }));
  const suffix = escaped(attack.suffix);
  const path = pumps.map(({ prefix, pump }) => prefix + pump.repeat(TRIED)).join('') + suffix;
  const canonical = canonicalPath(path);
  // Of a path with dot segments, the rules see another one.
  if (!path.startsWith('/') || 'refused' in canonical) return undefined;
  if ((canonical.unmerged ?? canonical.path) !== path) return undefined;
  const pumped = pumps.reduce((sum, { pump }) => sum + pump.length, 0);
  const most = Math.floor((LONGEST - path.length) / pumped);
  return expressionOf({ pumps, suffix, base: Math.min(attack.base, most) });
}

/** Writes an attack as a JavaScript expression. */
export function expressionOf({ pumps, suffix, base }: Attack): string {
  return [
    ...pumps.flatMap(({ prefix, pump }) => [
      ...(prefix === '' ? [] : [quoted(prefix)]),
      `${quoted(pump)}.repeat(${base})`,
    ]),
    ...(suffix === '' ? [] : [quoted(suffix)]),
  ].join(' + ');
}

/** Escapes what a client must escape in a path, and what an upstream may decode before it reads the path. */
function escaped(path: string): string {
  return path.replace(/["<>[\]^`{|}]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function quoted(text: string): string {
  return /^[ !#-&(-[\]-~]*$/.test(text) ? `'${text}'` : JSON.stringify(text);
}
