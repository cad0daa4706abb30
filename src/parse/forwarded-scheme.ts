import type { Fields } from './fields.js';

/** Why a request is refused whose X-Forwarded-Proto has no one meaning. */
export const SEVERAL_SCHEMES = 'X-Forwarded-Proto must be one scheme';

/**
 * The scheme by which a proxy says that its client came, in `X-Forwarded-Proto`. Proxies say `wss` of an upgrade, write it
 * in any case, and append to what stands there; a list that says one thing throughout is that, and any other one has no
 * meaning: which of the proxies is to be believed is unknown.
 *
 * @param fields of a request whose peer is trusted
 * @returns undefined where nothing is said, null where it has no one meaning
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
