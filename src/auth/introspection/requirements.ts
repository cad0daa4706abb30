import type { ActiveAnswer } from '../../model/introspection.js';

/** What a rule requires of an active answer besides scopes. */
export interface Requirements {
  /** Every one must be among the token's audiences. */
  readonly audience: readonly string[];
  /** One must be the token's issuer; empty: any. */
  readonly issuers: readonly string[];
  /** What `token_use` may say, where it says anything. */
  readonly uses: readonly string[];
  /** Tolerated clock skew, in seconds. */
  readonly leeway: number;
}

/**
 * Checks an active answer against a rule's requirements. Called on every request, so that an entry that outlived
 * `exp` in the cache is refused (RFC 7662 §4).
 *
 * @param now seconds since 1970
 * @returns what is not met, in words for the client; undefined when everything is
 */
export function unmetRequirement(
  answer: ActiveAnswer,
  requirements: Requirements,
  now: number,
): string | undefined {
  const { claims } = answer;
  // Hydra answers active:true for refresh tokens; old versions name them in token_type.
  const use = claims.token_use;
  if (use !== undefined && !requirements.uses.includes(use as string)) {
    return 'the token is not an access token';
  }
  const type = claims.token_type;
  // A token of the type DPoP is one whose key is verified (RFC 9449 §6.2); without one it is of no type we know.
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

/** RFC 6749 §5.1: case-insensitive. `access_token` is what Hydra v1 put there. */
function isBearer(type: unknown): boolean {
  return typeof type === 'string' && (type.toLowerCase() === 'bearer' || type === 'access_token');
}
