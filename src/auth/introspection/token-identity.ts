import type { ActiveAnswer } from '../../model/introspection.js';

/** The claims by which two answers are about one token. Order matters: it is part of {@link TokenIdentity}. */
const CLAIMS = ['iss', 'client_id', 'sub', 'iat', 'nbf', 'exp', 'jti', 'scope'] as const;

/** The values of those claims that distinguish one token from another; null if a claim is absent. */
export type TokenIdentity = readonly (string | number | null)[];

/**
 * Reads from an answer which token it is about. A server may accept several spellings of one token; its answers
 * about them are the same.
 *
 * @returns undefined if the answer has too little to tell: neither `jti`, nor a time and a client or subject
 */
export function identityOf({ claims }: ActiveAnswer): TokenIdentity | undefined {
  const has = (name: string) => isScalar(claims[name]);
  const tells = has('jti') || ((has('iat') || has('exp')) && (has('client_id') || has('sub')));
  return tells ? CLAIMS.map((name) => scalar(claims[name])) : undefined;
}

/** Whether an answer is about that token, or about one that cannot be distinguished from it. */
export function isAbout({ claims }: Pick<ActiveAnswer, 'claims'>, identity: TokenIdentity): boolean {
  return CLAIMS.every((name, i) => scalar(claims[name]) === identity[i]);
}

/** The identity as one string. */
export function identityText(identity: TokenIdentity): string {
  return JSON.stringify(identity);
}

/** {@link identityText} of an answer, even if it lacks the claims that an identity needs. */
export function identityTextOf(claims: ActiveAnswer['claims']): string {
  return JSON.stringify(CLAIMS.map((name) => scalar(claims[name])));
}

function isScalar(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

function scalar(value: unknown): string | number | null {
  return isScalar(value) ? value : null;
}
