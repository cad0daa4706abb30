import type { ActiveAnswer } from '../../model/introspection.js';

/** What a rule requires of an active answer, apart from scopes. */
export interface Requirements {
  /** The token must have all of these audiences. */
  readonly audience: readonly string[];
  /** The token's issuer must be one of these. If empty, any issuer is accepted. */
  readonly issuers: readonly string[];
  /** The accepted values of `token_use`, if the answer has one. */
  readonly uses: readonly string[];
  /** Tolerated clock skew, in seconds. */
  readonly leeway: number;
}

/**
 * Checks an active answer against a rule's requirements. It runs for every request, so that a cached answer
 * is refused once its `exp` has passed (RFC 7662 §4).
 *
 * @param now seconds since 1970
 * @returns the requirement that is not met, in words for the client; undefined if all are met
 */
export function unmetRequirement(
  answer: ActiveAnswer,
  requirements: Requirements,
  now: number,
): string | undefined {
  const { claims } = answer;
  // Hydra answers active:true for refresh tokens too. New versions say so in token_use, old ones in
  // token_type.
  const use = claims.token_use;
  if (use !== undefined && !requirements.uses.includes(use as string)) {
    return 'the token is not an access token';
  }
  const type = claims.token_type;
  // A DPoP token must be bound to a key (RFC 9449 §6.2), which is verified later. Without `cnf`, the type is
  // not accepted.
  if (type !== undefined && !isBearer(type) && !(isDpop(type) && claims.cnf !== undefined)) {
    return 'the token is not a bearer token';
  }

  if (answer.expiresAt !== undefined && now >= answer.expiresAt + requirements.leeway)
    return 'the token has expired';
  if (answer.notBefore !== undefined && now < answer.notBefore - requirements.leeway)
    return 'the token is not valid yet';
  if (requirements.issuers.length > 0 && !requirements.issuers.includes(answer.issuer ?? '')) {
    return 'the token is from an issuer that is not trusted';
  }
  if (!requirements.audience.every((audience) => answer.audience.includes(audience))) {
    return 'the token is not meant for this audience';
  }
  return undefined;
}

function isDpop(type: unknown): boolean {
  return typeof type === 'string' && type.toLowerCase() === 'dpop';
}

/** The type is case-insensitive (RFC 6749 §5.1). Hydra v1 writes `access_token`. */
function isBearer(type: unknown): boolean {
  return typeof type === 'string' && (type.toLowerCase() === 'bearer' || type === 'access_token');
}
