import { type Denial, denial } from '../../model/errors.js';
import type { HeaderRemoval } from '../../model/mutator.js';
import type { KeySource, Verification, Verified } from '../../model/outbound.js';
import type { AccessStrategy, Outcome, RequestContext, Services, Subject } from '../../model/strategy.js';
import {
  type Credential,
  readCredential,
  type TokenCredential,
  type TokenSource,
} from '../../parse/token.js';
import type { ClaimRequirements } from './claim-requirements.js';
import { type JwtConfig, jwtSchema, readJwtConfig } from './jwt-config.js';
import { missingScopes, type ScopeStrategy } from './scope.js';
import { jwtExtra, scopeClaim } from './session.js';
import type { Handler } from './strategy.js';
import type { BindingResult, TokenBinding } from './token-binding.js';

/**
 * The `jwt` handler of Oathkeeper and of Kyma, whose later versions configure it with Istio's fields. The
 * request's bearer token must be a JWT that is signed with a published key of its issuer (RFC 9068 §4), is
 * meant for the audience, and has every required scope. A token that is not a JWT is left to the rule's next
 * access strategy.
 */
export const jwt: Handler = {
  name: 'jwt',
  schema: jwtSchema,
  compile: (config, defaults) => new Jwt(readJwtConfig(config, defaults)),
};

class Jwt implements AccessStrategy {
  readonly handler = 'jwt';
  readonly readsTokens = true;
  readonly requiredScopes: readonly string[];
  readonly tokenSources: readonly TokenSource[] | undefined;
  readonly removal: HeaderRemoval | undefined;
  readonly keySources: readonly KeySource[];
  readonly binding: TokenBinding;
  readonly extra = jwtExtra;
  readonly #verification: Verification;
  readonly #alternatives: JwtConfig['alternatives'];
  readonly #strategy: ScopeStrategy;
  readonly #uses: readonly string[];
  readonly #demands: ClaimRequirements | undefined;

  constructor({ verification, alternatives, strategy, places, binding, uses, demands }: JwtConfig) {
    this.requiredScopes = alternatives[0]?.scopes ?? [];
    this.tokenSources = places.sources;
    this.removal = places.removal;
    this.keySources = verification.sources;
    this.binding = binding;
    this.#verification = verification;
    this.#alternatives = alternatives;
    this.#strategy = strategy;
    this.#uses = uses;
    this.#demands = demands;
  }

  authenticate(attempt: RequestContext, services: Services): Outcome | Promise<Outcome> {
    const credential = readCredential(attempt, this.tokenSources, this.binding.dpop !== undefined);
    return credential instanceof Promise
      ? credential.then((read) => this.#verify(read, attempt, services))
      : this.#verify(credential, attempt, services);
  }

  #verify(credential: Credential, attempt: RequestContext, services: Services): Outcome | Promise<Outcome> {
    if (credential.kind === 'none') return { kind: 'pass' };
    if (credential.kind === 'malformed') {
      return { kind: 'deny', denial: denial('invalid_request', credential.reason) };
    }
    if (credential.token.split('.').length !== 3) {
      return {
        kind: 'pass',
        denial: this.#refusal(denial('invalid_token', 'the token is not a JSON Web Token'), credential),
      };
    }
    const verified = services.verify(credential.token, this.#verification);
    return verified instanceof Promise
      ? verified.then((result) => this.#judge(result, credential, attempt, services))
      : this.#judge(verified, credential, attempt, services);
  }

  #judge(
    verified: Verified,
    credential: TokenCredential,
    attempt: RequestContext,
    services: Services,
  ): Outcome | Promise<Outcome> {
    if (!verified.ok) {
      if ('reason' in verified) return this.#deny(denial('invalid_token', verified.reason), credential);
      const { retryAfter, cause } = verified;
      const refused = denial('authorization_server_unavailable', 'the keys of the issuer cannot be read', {
        retryAfter,
        cause,
      });
      return { kind: 'deny', denial: refused };
    }
    const { claims } = verified;
    const subject = subjectOf(claims);
    const problem = useOf(claims, this.#uses);
    if (problem !== undefined) return this.#deny(denial('invalid_token', problem), credential, subject);
    const bound = this.binding.check(claims, credential, attempt, services);
    return bound instanceof Promise
      ? bound.then((settled) => this.#authorize(settled, claims, subject, credential, services.now()))
      : this.#authorize(bound, claims, subject, credential, services.now());
  }

  /** The token must meet one alternative: all of its audiences and all of its scopes. */
  #authorize(
    bound: BindingResult,
    claims: Readonly<Record<string, unknown>>,
    subject: Subject,
    credential: TokenCredential,
    now: number,
  ): Outcome {
    if (bound?.denial !== undefined) return this.#deny(bound.denial, credential, subject);
    const audience = texts(claims.aud);
    const meant = this.#alternatives.filter((each) => each.audience.every((name) => audience.includes(name)));
    if (meant.length === 0) {
      return this.#deny(
        denial('invalid_token', 'the token is not meant for this audience'),
        credential,
        subject,
      );
    }
    const unfit = this.#demands?.refuse(claims, now);
    if (unfit !== undefined) return this.#deny(unfit, credential, subject);
    const scopes = subject.scopes ?? [];
    if (meant.some((each) => missingScopes(scopes, each.scopes, this.#strategy).length === 0)) {
      return bound?.nonce === undefined
        ? { kind: 'allow', subject }
        : { kind: 'allow', subject, nonce: bound.nonce };
    }
    const refused = denial('insufficient_scope', 'the token lacks a required scope', {
      scopes: meant[0]?.scopes ?? [],
    });
    return this.#deny(refused, credential, subject);
  }

  #deny(refused: Denial, credential: TokenCredential, subject?: Subject): Outcome {
    const named = this.#refusal(refused, credential);
    return subject === undefined ? { kind: 'deny', denial: named } : { kind: 'deny', denial: named, subject };
  }

  /** Adds to a refusal of the token what the client must send instead: the scopes and the scheme. */
  #refusal(refused: Denial, { scheme }: TokenCredential): Denial {
    const named = { scopes: this.requiredScopes, ...refused };
    return scheme === undefined ? named : { ...named, scheme };
  }
}

/** Says why a verified JWT is not an access token; undefined if it is one. */
function useOf(claims: Readonly<Record<string, unknown>>, uses: readonly string[]): string | undefined {
  const use = claims.token_use;
  // Cognito and Hydra state the use. A token for any other use was not issued for a resource and may have
  // leaked.
  if (use !== undefined && !uses.includes(use as string)) return 'the token is not an access token';
  if (!ID_TOKEN_USES.some((each) => uses.includes(each)) && isOtherToken(claims)) {
    return 'the token is not an access token: it is for the client, such as an ID token';
  }
  if (claims.sub !== undefined && typeof claims.sub !== 'string') return 'the token is malformed';
  return undefined;
}

/**
 * The values of `allowed_token_use` with which a rule accepts ID tokens: Cognito's and that of OAuth (RFC
 * 8693 §3).
 */
const ID_TOKEN_USES = ['id', 'id_token'];
/** Claims that only ID tokens have (OpenID Connect Core §2, §3.3.2.11; Financial-grade API §5.1). */
const ID_TOKEN_CLAIMS = ['at_hash', 'c_hash', 's_hash', 'nonce'];
/** The values of the claim `typ` with which Keycloak marks tokens that are not meant for a resource. */
const OTHER_TYPES: ReadonlySet<unknown> = new Set(['ID', 'Refresh', 'Offline', 'Logout']);
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/**
 * Whether a JWT is an ID token, or another one that an authorization server signs with the same keys and that
 * no resource may accept. The type in the JWT's header tells them apart only if the server follows RFC 9068.
 */
function isOtherToken(claims: Readonly<Record<string, unknown>>): boolean {
  const has = (name: string): boolean => claims[name] !== undefined && claims[name] !== null;
  if (OTHER_TYPES.has(claims.typ)) return true;
  const { events } = claims;
  if (typeof events === 'object' && events !== null && Object.hasOwn(events, LOGOUT_EVENT)) return true;
  // Keycloak before version 25 puts the nonce into access tokens too. Those have the `typ` Bearer.
  return ID_TOKEN_CLAIMS.some((name) => has(name) && !(name === 'nonce' && claims.typ === 'Bearer'));
}

function subjectOf(claims: Readonly<Record<string, unknown>>): Subject {
  const { sub, client_id: clientId, azp, exp } = claims;
  const client = clientId ?? azp;
  return {
    subject: typeof sub === 'string' ? sub : '',
    scopes: scopesOf(claims),
    claims,
    ...(typeof client === 'string' ? { clientId: client } : {}),
    ...(typeof exp === 'number' ? { expiresAt: exp } : {}),
  };
}

function scopesOf(claims: Readonly<Record<string, unknown>>): string[] {
  const name = scopeClaim(claims);
  const value = name === undefined ? undefined : claims[name];
  if (typeof value === 'string') return value.split(' ').filter((scope) => scope !== '');
  return texts(value);
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
