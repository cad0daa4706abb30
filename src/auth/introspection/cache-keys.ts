import { hash } from 'node:crypto';
import type { Endpoint } from '../../model/authorization-server.js';
import { authIdentity } from './client-auth.js';
import { looksLikeHydra } from './readiness.js';

/** Where the caches keep the answer about a token. */
export interface CacheKey {
  /** A SHA-256 over endpoint, identity of the client credentials and token. */
  readonly key: string;
  /** The token in its canonical spelling. */
  readonly token: string;
  /** Whether every spelling of the token has this key. If not, the server may accept spellings with other keys. */
  readonly exact: boolean;
}

/**
 * The keys of cached answers: SHA-256 over endpoint, identity of the client credentials and token
 * (CVE-2026-33496). The token is not stored.
 */
export class CacheKeys {
  readonly #prefixes = new WeakMap<Endpoint, string>();
  /**
   * Every prefix of a key, and whether its endpoint is Hydra's. Their number is bounded by the endpoints in rules
   * and settings.
   */
  readonly #all = new Map<string, boolean>();

  /** The key of a token at one endpoint. */
  of(endpoint: Endpoint, token: string): CacheKey {
    let prefix = this.#prefixes.get(endpoint);
    if (prefix === undefined) {
      // JSON delimits the parts, so that no URL or field value can imitate the end of another part.
      const { url, auth, headers, signed, lifetime } = endpoint;
      const parts = [url, authIdentity(auth), Object.entries(headers), signed?.issuer];
      // A rule that keeps answers for a shorter time must not find those of other rules.
      prefix = JSON.stringify(lifetime === undefined ? parts : [...parts, lifetime]);
      this.#prefixes.set(endpoint, prefix);
      // There will be nothing to invalidate under the other keys.
      if (lifetime !== 0) this.#all.set(prefix, isHydra(endpoint));
    }
    return keyOf(prefix, token, this.#all.get(prefix) ?? isHydra(endpoint));
  }

  /** The keys of a token at all endpoints that were used so far. */
  everywhere(token: string): CacheKey[] {
    return [...this.#all].map(([prefix, hydra]) => keyOf(prefix, token, hydra));
  }
}

function isHydra({ url, discovered }: Endpoint): boolean {
  return discovered !== true && URL.canParse(url) && looksLikeHydra(url);
}

function keyOf(prefix: string, token: string, hydra: boolean): CacheKey {
  const canonical = hydra ? canonicalHydraToken(token) : undefined;
  const spelling = canonical ?? token;
  return {
    key: hash('sha256', prefix + spelling, 'base64'),
    token: spelling,
    exact: canonical !== undefined,
  };
}

const HYDRA_TOKEN = /^(ory_[a-z]{2}_)?([A-Za-z0-9_-]{22,})\.([A-Za-z0-9_-]{22,})$/;
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * Brings an opaque token of Ory Hydra into one spelling. Hydra accepts several: the prefix `ory_at_` may be
 * absent, and the last character of the first part may differ in the bits that base64 does not use. Hydra
 * finds the token by its second part, literally.
 *
 * To merge the spellings is safe even if the server is not Hydra: a client that sends one of them knows the
 * whole token except at most four bits.
 *
 * @returns undefined if it does not look like a token of Hydra
 */
export function canonicalHydraToken(token: string): string | undefined {
  const [, prefix = '', first = '', second] = HYDRA_TOKEN.exec(token) ?? [];
  if (second === undefined) return undefined;
  const unused = first.length % 4;
  // No bytes encode to such a length.
  if (unused === 1) return undefined;
  const mask = unused === 2 ? 0b110000 : unused === 3 ? 0b111100 : 0b111111;
  const last = BASE64URL[BASE64URL.indexOf(first.at(-1) as string) & mask] as string;
  return `${prefix === 'ory_at_' ? '' : prefix}${first.slice(0, -1)}${last}.${second}`;
}
