import { cookieKeys } from '../parse/cookies.js';

/** Header fields and cookies of a client that do not go upstream. */
export interface HeaderRemoval {
  /** Lower case, with hyphens for underscores. */
  readonly headers: ReadonlySet<string>;
  /** As {@link cookieKey} makes them. */
  readonly cookies: ReadonlySet<string>;
}

/** What the mutators of a rule made of one request. */
export interface HeaderMutations {
  /** The client's copies of what the rule's mutators may set: they go, set anew or not. */
  readonly replaced: HeaderRemoval;
  /** Checked: every value can stand in a header field. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly cookies: readonly (readonly [name: string, value: string])[];
}

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
