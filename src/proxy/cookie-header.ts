import type { HeaderMutations, HeaderRemoval } from '../model/mutator.js';
import { cookieKeys } from '../parse/cookies.js';

/**
 * Removes cookies from a Cookie field. Old servers split at commas, or read a quoted value as one piece. So a
 * pair is removed completely if any server could read any part of it as such a cookie.
 *
 * @param keys the names, in the form of {@link cookieKey}
 */
export function withoutCookies(field: string, keys: ReadonlySet<string>): string {
  return field
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '' && !cookieKeys(pair).some((key) => keys.has(key)))
    .join('; ');
}

/** The Cookie field to send; empty means no field. */
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
