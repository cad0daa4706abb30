import { hash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Unavailable, Verification, Verified } from '../model/outbound.js';
import type { KeySetCache, Keys } from './key-sets.js';

/**
 * Types (`typ`) of a JWT that may be an access token: those of RFC 9068 §2.1, and no type or `JWT`, as old
 * servers write.
 */
const TYPES: ReadonlySet<unknown> = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);

type Attempt =
  | { readonly kind: 'verified'; readonly claims: JWTPayload }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown-key' }
  | { readonly kind: 'unavailable'; readonly answer: Unavailable };

/**
 * Verifies a JWT with the keys of its issuer (RFC 7515 §5.2, RFC 7519 §7.2, RFC 9068 §4): type, algorithm,
 * signature, `exp` (required) and `nbf`. If no key matches, the key set is read again, once. If a key set
 * cannot be read, or was read too recently, the token may still be valid, so the result is unavailable, not invalid.
 *
 * @param now returns seconds since 1970
 * @returns the claims, why the token is invalid, or that a key set is unavailable
 */
export async function verifyJwt(
  token: string,
  verification: Verification,
  keys: KeySetCache,
  now: () => number,
): Promise<Verified> {
  const urls = keySets(token, verification);
  if (typeof urls === 'string') return { ok: false, reason: urls };

  const judge = async (found: Keys | Unavailable): Promise<Attempt> =>
    found.ok ? attempt(token, found, verification, now()) : ({ kind: 'unavailable', answer: found } as const);
  let refused: string | undefined;
  let unavailable: Unavailable | undefined;
  for (const url of urls) {
    const before = keys.reads(url);
    let outcome = await judge(await keys.current(url));
    if (outcome.kind === 'unknown-key') {
      const found = await keys.again(url);
      if (found !== undefined) outcome = await judge(found);
    }
    if (outcome.kind === 'unknown-key') {
      const { kid } = decodeProtectedHeader(token);
      const name = kid ?? `token ${hash('sha256', token, 'base64')}`;
      // Only a read that began after the token came can tell that its key is not published.
      if (keys.reads(url) > before) keys.missed(url, name);
      else if (!keys.isMissing(url, kid, name))
        outcome = { kind: 'unavailable', answer: keys.tooRecent(url) };
    }
    if (outcome.kind === 'verified') return { ok: true, claims: outcome.claims };
    if (outcome.kind === 'refused') refused ??= outcome.reason;
    if (outcome.kind === 'unavailable') unavailable ??= outcome.answer;
  }
  if (unavailable !== undefined) return unavailable;
  return { ok: false, reason: refused ?? 'the token is signed with a key that is not published' };
}

/** The URLs of the key sets that may have the token's key, or the reason to refuse the token. */
function keySets(token: string, { sources, algorithms, types = TYPES }: Verification): string[] | string {
  let header: ReturnType<typeof decodeProtectedHeader>;
  let issuer: unknown;
  try {
    header = decodeProtectedHeader(token);
    issuer = decodeJwt(token).iss;
  } catch {
    return 'the token is not a JSON Web Token';
  }
  if (hasRawPayload(header)) return 'the token is malformed';
  if (!algorithms.includes(header.alg ?? ''))
    return 'the token is signed with an algorithm that is not allowed';
  const type = typeof header.typ === 'string' ? header.typ.toLowerCase() : header.typ;
  if (!types.has(type)) {
    return types === TYPES ? 'the token is not an access token' : 'the token is not of the right type';
  }
  const trusted = sources.filter(({ issuers }) => issuers.length === 0 || issuers.includes(issuer as string));
  if (trusted.length === 0) return 'the token is from an issuer that is not trusted';
  return [...new Set(trusted.flatMap(({ urls }) => urls))];
}

/**
 * Whether a JWS declares an unencoded payload (`b64`), which a JWT must not do (RFC 7797 §7). Libraries
 * ignore `b64` if `crit` does not list it; they would then verify another text than a library that respects
 * it.
 */
export function hasRawPayload({ b64 }: { readonly b64?: unknown }): boolean {
  return b64 !== undefined && b64 !== true;
}

/**
 * The times of a JWT (RFC 7519 §4.1). A JSON number such as 1e999 becomes Infinity, so the token would never
 * expire.
 */
const TIMES = ['exp', 'nbf', 'iat'] as const;

function verified(claims: JWTPayload): Attempt {
  const odd = TIMES.find((name) => claims[name] !== undefined && !Number.isFinite(claims[name]));
  return odd === undefined
    ? { kind: 'verified', claims }
    : { kind: 'refused', reason: `the token has no usable claim "${odd}"` };
}

async function attempt(
  token: string,
  keys: Keys,
  { algorithms, leeway, requires = ['exp'] }: Verification,
  now: number,
): Promise<Attempt> {
  const options = {
    algorithms: [...algorithms],
    clockTolerance: leeway,
    currentDate: new Date(now * 1000),
    requiredClaims: [...requires],
  };
  try {
    return verified((await jwtVerify(token, keys.find, options)).payload);
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      // The token has no key id and several keys may match: try each of them.
      for await (const key of error) {
        try {
          return verified((await jwtVerify(token, key, options)).payload);
        } catch (inner) {
          if (!(inner instanceof errors.JWSSignatureVerificationFailed)) return judged(inner);
        }
      }
      return { kind: 'unknown-key' };
    }
    // The key of a token without a key id may have replaced the known one.
    const unnamed = error instanceof errors.JWSSignatureVerificationFailed && !namesKey(token);
    return unnamed ? { kind: 'unknown-key' } : judged(error);
  }
}

function namesKey(token: string): boolean {
  return decodeProtectedHeader(token).kid !== undefined;
}

function judged(error: unknown): Attempt {
  if (error instanceof errors.JWKSNoMatchingKey) return { kind: 'unknown-key' };
  if (error instanceof errors.JWTExpired) return { kind: 'refused', reason: 'the token has expired' };
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return { kind: 'refused', reason: 'the signature of the token is not valid' };
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf') return { kind: 'refused', reason: 'the token is not valid yet' };
    return { kind: 'refused', reason: `the token has no usable claim "${error.claim}"` };
  }
  return { kind: 'refused', reason: 'the token is malformed' };
}
