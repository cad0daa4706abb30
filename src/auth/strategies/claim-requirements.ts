import type { ValidateFunction } from 'ajv';
import { ConfigError } from '../../document/finding.js';
import { durationSchema, parseDuration } from '../../model/duration.js';
import { type Denial, denial } from '../../model/errors.js';
import { compileClaims } from './claims-schema.js';
import { texts } from './config.js';

type Claims = Readonly<Record<string, unknown>>;

/**
 * JSON Schema of the `config` fields with which every handler that reads tokens states requirements on them.
 */
export const claimRequirementProperties = {
  leeway: { ...durationSchema, description: 'Allowed clock skew; default introspection.leeway.' },
  allowed_clients: {
    ...texts,
    description: 'Allowed clients: the `client_id` of the token must be one of them.',
  },
  allowed_token_use: {
    ...texts,
    minItems: 1,
    description: 'Allowed values of `token_use`, if the token has it; default access_token.',
  },
  max_token_age: { ...durationSchema, description: 'Maximum age of the token, from its `iat`.' },
  claims: {
    type: 'object',
    description: 'A JSON Schema (draft-07) that the claims, as one object, must match.',
  },
  acr_values: {
    type: 'array',
    minItems: 1,
    items: {
      type: 'string',
      title: 'a string of visible ASCII characters without quotes',
      pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$',
    },
    description:
      'Accepted values of `acr`, which says how the user logged in, the preferred one first (RFC 9470).',
  },
  max_age: {
    type: 'integer',
    minimum: 0,
    description: 'Maximum time since the user logged in, in seconds (RFC 9470).',
  },
} as const;

/** The same fields, in a `config` that fits the schema. */
export interface ClaimRequirementConfig {
  readonly leeway?: string;
  readonly allowed_clients?: readonly string[];
  readonly allowed_token_use?: readonly string[];
  readonly max_token_age?: string;
  readonly claims?: Claims;
  readonly acr_values?: readonly string[];
  readonly max_age?: number;
}

/** What a rule requires of its tokens, beyond what every token must meet. */
export interface ClaimRequirements {
  /**
   * @param now seconds since 1970
   * @returns why a token does not meet the requirements; undefined if it does
   */
  refuse(claims: Claims, now: number): Denial | undefined;
}

/**
 * The clock skew that a rule tolerates, in seconds.
 *
 * @param fallback the one in the settings
 */
export function leewayOf({ leeway }: ClaimRequirementConfig, fallback: number): number {
  return leeway === undefined ? fallback : seconds(leeway, 'leeway');
}

/**
 * Compiles a rule's requirements.
 *
 * @param leeway tolerated clock skew, in seconds
 * @returns undefined if there are none, so that nothing has to be checked
 * @throws ConfigError if `claims` is not a JSON Schema that can be compiled
 */
export function compileClaimRequirements(
  config: ClaimRequirementConfig,
  leeway: number,
): ClaimRequirements | undefined {
  const { allowed_clients: clients, acr_values: acrs, max_age: maxAge } = config;
  const maxTokenAge =
    config.max_token_age === undefined ? undefined : seconds(config.max_token_age, 'max_token_age');
  const schema = config.claims === undefined ? undefined : compileClaims(config.claims);
  const checks: ClaimRequirements['refuse'][] = [];
  if (maxTokenAge !== undefined) checks.push((claims, now) => tooOld(claims.iat, now, maxTokenAge, leeway));
  if (clients !== undefined) {
    checks.push(({ client_id: client, azp }) =>
      clients.includes((client ?? azp) as string)
        ? undefined
        : denial('access_denied', 'the client of the token has no access to this resource'),
    );
  }
  if (schema !== undefined) checks.push((claims) => misfit(schema, claims));
  if (acrs !== undefined || maxAge !== undefined) {
    const stepUp = {
      ...(acrs === undefined ? {} : { acrValues: acrs }),
      ...(maxAge === undefined ? {} : { maxAge }),
    };
    checks.push((claims, now) => {
      const reason = weakness(claims, now, acrs, maxAge, leeway);
      return reason === undefined
        ? undefined
        : denial('insufficient_user_authentication', reason, { stepUp });
    });
  }
  if (checks.length === 0) return undefined;
  return {
    refuse(claims, now) {
      for (const check of checks) {
        const refused = check(claims, now);
        if (refused !== undefined) return refused;
      }
      return undefined;
    },
  };
}

/**
 * RFC 7519 §4.1.6: no value of `iat` by itself makes a token invalid. A rule with a maximum age requires
 * `iat`.
 */
function tooOld(iat: unknown, now: number, maxAge: number, leeway: number): Denial | undefined {
  if (typeof iat !== 'number') return denial('invalid_token', 'the token does not say when it was issued');
  if (iat > now + leeway) return denial('invalid_token', 'the token was issued in the future');
  return now - iat > maxAge + leeway
    ? denial('invalid_token', 'the token was issued too long ago')
    : undefined;
}

/**
 * Checks how the user logged in (RFC 9470 §6.2). If the token does not say it, the requirement is not met.
 */
function weakness(
  claims: Claims,
  now: number,
  acrs: readonly string[] | undefined,
  maxAge: number | undefined,
  leeway: number,
): string | undefined {
  if (acrs !== undefined && !acrs.includes(told(claims, 'acr') as string)) {
    return 'the user must log in with another method';
  }
  if (maxAge === undefined) return undefined;
  const at = told(claims, 'auth_time');
  if (typeof at !== 'number' || !Number.isFinite(at) || at > now + leeway || now - at > maxAge + leeway) {
    return 'the user must log in again';
  }
  return undefined;
}

/** Gets a claim of the token itself, or one that Hydra puts into `ext` for the login application. */
function told(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  const { ext } = claims;
  return typeof ext === 'object' && ext !== null && Object.hasOwn(ext, name)
    ? (ext as Claims)[name]
    : undefined;
}

function misfit(schema: ValidateFunction, claims: Claims): Denial | undefined {
  if (schema(claims)) return undefined;
  const [error] = schema.errors ?? [];
  const missing = error?.keyword === 'required' ? `/${String(error.params.missingProperty)}` : '';
  const place = `${error?.instancePath ?? ''}${missing}`.replace(/[^\x20-\x7e]/g, '?');
  const where = place === '' ? '' : ` at ${place}`;
  return denial(
    'access_denied',
    `the claims of the token do not meet the requirements of this resource${where}`,
  );
}

function seconds(text: string, field: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) throw new ConfigError([field], 'must be shorter than 24 days');
  return milliseconds / 1000;
}
