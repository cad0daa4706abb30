import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Unavailable, Verification, Verified } from '../model/outbound.js';
import type { KeySetCache, Keys } from './key-sets.js';

/** Types (`typ`) of a JWT that may serve as an access token: RFC 9068 §2.1, and none or the generic one of old servers. */
const TYPES: ReadonlySet<unknown> = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);

type Attempt =
  | { readonly kind: 'verified'; readonly claims: JWTPayload }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown-key' }
  | { readonly kind: 'unavailable'; readonly answer: Unavailable };

/**
 * Verifies a JWT by the keys of its issuer (RFC 7515 §5.2, RFC 7519 §7.2, RFC 9068 §4): type, algorithm, signature,
 * `exp` (which it must have) and `nbf`. A key nobody knows makes the key set be read again, once; where a key set
 * cannot be read, the token may be good, and nobody can say that it is not.
 *
 * @param now seconds since 1970
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
    let outcome = await judge(await keys.current(url));
    if (outcome.kind === 'unknown-key') {
      const found = await keys.again(url);
      if (found !== undefined) outcome = await judge(found);
    }
    if (outcome.kind === 'verified') return { ok: true, claims: outcome.claims };
    if (outcome.kind === 'refused') refused ??= outcome.reason;
    if (outcome.kind === 'unavailable') unavailable ??= outcome.answer;
  }
  if (unavailable !== undefined) return unavailable;
  return { ok: false, reason: refused ?? 'the token is signed with a key that is not published' };
}

/** The key sets that may hold the token's key, or why none may. */
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
 * Whether a JWS says that its payload is not encoded, which no JWT may (RFC 7797 §7). Libraries pass over that where
 * `crit` does not name it: they would verify another text than one that heeds it.
 */
export function hasRawPayload({ b64 }: { readonly b64?: unknown }): boolean {
  return b64 !== undefined && b64 !== true;
}

/** Times of a JWT (RFC 7519 §4.1); JSON can write numbers that are beyond all others, and would never end. */
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
      // A token without a key id, and several keys that could be meant: the one that verifies is.
      for await (const key of error) {
        try {
          return verified((await jwtVerify(token, key, options)).payload);
        } catch (inner) {
          if (!(inner instanceof errors.JWSSignatureVerificationFailed)) return judged(inner);
        }
      }
      return { kind: 'unknown-key' };
    }
    // A token without a key id may mean a key that took the place of the one that is known.
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
