import type { Fields } from './fields.js';

/** The reason given when X-Forwarded-Proto is ambiguous. */
export const SEVERAL_SCHEMES = 'X-Forwarded-Proto must be one scheme';

/**
 * The scheme that the client used, as a proxy states it in `X-Forwarded-Proto`. Proxies write `wss` for an
 * upgrade, use any case, and append to the existing value. A list in which all values agree counts as that
 * value. A list with different values is ambiguous, because it is unknown which proxy is right.
 *
 * @param fields the fields of a request whose peer is trusted
 * @returns undefined if the field is absent, null if it is ambiguous
 */
export function forwardedScheme({ names, raw }: Fields): 'http' | 'https' | undefined | null {
  let scheme: 'http' | 'https' | undefined;
  for (let at = names.indexOf(FIELD); at !== -1; at = names.indexOf(FIELD, at + 1)) {
    for (const element of (raw[at * 2 + 1] as string).split(',')) {
      const said = SCHEMES.get(element.trim().toLowerCase());
      if (said === undefined || (scheme !== undefined && scheme !== said)) return null;
      scheme = said;
    }
  }
  return scheme;
}

const FIELD = 'x-forwarded-proto';
const SCHEMES: ReadonlyMap<string, 'http' | 'https'> = new Map([
  ['http', 'http'],
  ['https', 'https'],
  ['ws', 'http'],
  ['wss', 'https'],
]);
