import type { SignedAnswers } from '../../model/authorization-server.js';
import type { Answer } from '../../model/introspection.js';
import type { Outbound, Verified } from '../../model/outbound.js';
import { readClaims } from './answer.js';
import { InvalidAnswer } from './errors.js';

/** The media type of a signed answer (RFC 9701 §10.2). scopegate requests it and requires it. */
export const SIGNED_TYPE = 'application/token-introspection+jwt';

/** `typ` of a signed answer (RFC 9701 §5). The prefix `application/` may be omitted (RFC 7515 §4.1.9). */
const TYPES: ReadonlySet<unknown> = new Set(['token-introspection+jwt', SIGNED_TYPE]);

/** The greatest age of an answer, in seconds. An older one was made for another call. */
const MAX_AGE = 60;
/** Seconds by which the server's clock may be ahead or behind. */
const SKEW = 60;

/**
 * Verifies and reads a signed answer: its signature, `typ`, `iss`, `aud` and `iat`. The claim
 * `token_introspection` is the answer itself (RFC 9701 §5).
 *
 * @param now seconds since 1970
 * @throws InvalidAnswer if anything is not valid; the message contains nothing of the answer
 */
export async function readSigned(
  jwt: string,
  { issuer, audience, algorithms }: SignedAnswers,
  jwksUrl: string,
  verify: Outbound['verify'],
  now: number,
): Promise<Answer> {
  const verified: Verified = await verify(jwt.trim(), {
    sources: [{ issuers: [issuer], urls: [jwksUrl] }],
    algorithms,
    leeway: SKEW,
    types: TYPES,
    requires: ['iss', 'aud', 'iat'],
  });
  if (!verified.ok) {
    const why =
      'reason' in verified ? verified.reason.replace('the token', 'it') : `its keys: ${verified.cause}`;
    throw new InvalidAnswer(`the signed introspection answer cannot be verified: ${why}`);
  }
  const { aud, iat, token_introspection: answer } = verified.claims;
  if (![aud].flat().includes(audience)) {
    throw new InvalidAnswer('the signed introspection answer is not for this gateway');
  }
  if (typeof iat !== 'number' || Math.abs(now - iat) > MAX_AGE + SKEW) {
    throw new InvalidAnswer('the "iat" of the signed introspection answer is too far from now');
  }
  return readClaims(answer);
}
