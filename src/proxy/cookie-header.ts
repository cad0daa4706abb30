import type { HeaderMutations, HeaderRemoval } from '../model/mutator.js';
import { cookieKeys } from '../parse/cookies.js';

/**
 * Takes cookies out of a Cookie field. Old servers take a comma for a semicolon and a quoted value for a whole: a
 * pair in which anything could be taken for such a cookie goes as a whole.
 *
 * @param keys as {@link cookieKey} makes them
 */
export function withoutCookies(field: string, keys: ReadonlySet<string>): string {
  return field
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !cookieKeys(pair).some((key) => keys.has(key)))
    .join('; ');
}

/** The Cookie field to send; empty for none. */
export function cookieField(
  sent: string,
  removals: readonly (HeaderRemoval | undefined)[],
  set: HeaderMutations['cookies'],
): string {
  let kept = sent;
  for (const removal of removals) {
    if (removal !== undefined && removal.cookies.size > 0) kept = withoutCookies(kept, removal.cookies);
  }
  return [kept, ...set.map(([name, value]) => `${name}=${value}`)].filter((part) => part !== '').join('; ');
}
