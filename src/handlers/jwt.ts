import { denial } from '../errors.js';
import type { KeySource, Verification, Verified } from '../remote/remote.js';
import { readToken, type TokenSource } from '../request/token.js';
import { type JwtConfig, jwtSchema, readJwtConfig } from './jwt-config.js';
import { missingScopes, type ScopeStrategy } from './scope.js';
import type { AccessStrategy, Attempt, Handler, Outcome, Services, Subject } from './strategy.js';

/**
 * The `jwt` handler of Oathkeeper and of Kyma, whose later versions configure it in Istio's words: the request's
 * bearer token is a JWT, verified by the published keys of its issuer (RFC 9068 §4), meant for the audience and with
 * every required scope. A token that is no JWT is left to the rule's next access strategy.
 */
export const jwt: Handler = {
  name: 'jwt',
  schema: jwtSchema,
  compile: (config, defaults) => new Jwt(readJwtConfig(config, defaults)),
};

/** Claims that hold scopes, in Oathkeeper's order: the first one present counts. */
const SCOPE_CLAIMS = ['scp', 'scope', 'scopes'] as const;

class Jwt implements AccessStrategy {
  readonly handler = 'jwt';
  readonly requiredScopes: readonly string[];
  readonly tokenSource: TokenSource | undefined;
  readonly keySources: readonly KeySource[];
  readonly #verification: Verification;
  readonly #alternatives: JwtConfig['alternatives'];
  readonly #strategy: ScopeStrategy;

  constructor({ verification, alternatives, strategy, source }: JwtConfig) {
    this.requiredScopes = alternatives[0]?.scopes ?? [];
    this.tokenSource = source;
    this.keySources = verification.sources;
    this.#verification = verification;
    this.#alternatives = alternatives;
    this.#strategy = strategy;
  }

  authenticate(attempt: Attempt, services: Services): Outcome | Promise<Outcome> {
    const credential = readToken(attempt.fields, attempt.target.query, this.tokenSource);
    if (credential.kind === 'none') return { kind: 'pass' };
    if (credential.kind === 'malformed') {
      return { kind: 'deny', denial: denial('invalid_request', credential.reason) };
    }
    if (credential.token.split('.').length !== 3) {
      return { kind: 'pass', denial: this.#invalid('the token is not a JSON Web Token') };
    }
    const verified = services.verify(credential.token, this.#verification);
    return verified instanceof Promise
      ? verified.then((result) => this.#judge(result))
      : this.#judge(verified);
  }

  #judge(verified: Verified): Outcome {
    if (!verified.ok) {
      if ('reason' in verified) return { kind: 'deny', denial: this.#invalid(verified.reason) };
      const { retryAfter } = verified;
      const refused = denial('authorization_server_unavailable', 'the keys of the issuer cannot be read', {
        retryAfter,
      });
      return { kind: 'deny', denial: refused };
    }
    const { claims } = verified;
    const subject = subjectOf(claims);
    const problem = useOf(claims);
    if (problem !== undefined) return { kind: 'deny', denial: this.#invalid(problem), subject };
    return this.#authorize(claims, subject);
  }

  /** One alternative must hold: all of its audiences and all of its scopes. */
  #authorize(claims: Readonly<Record<string, unknown>>, subject: Subject): Outcome {
    const audience = texts(claims.aud);
    const meant = this.#alternatives.filter((each) => each.audience.every((name) => audience.includes(name)));
    if (meant.length === 0) {
      return { kind: 'deny', denial: this.#invalid('the token is not meant for this audience'), subject };
    }
    const scopes = subject.scopes ?? [];
    if (meant.some((each) => missingScopes(scopes, each.scopes, this.#strategy).length === 0)) {
      return { kind: 'allow', subject };
    }
    const refused = denial('insufficient_scope', 'the token lacks a required scope', {
      scopes: meant[0]?.scopes ?? [],
    });
    return { kind: 'deny', denial: refused, subject };
  }

  #invalid(reason: string) {
    return denial('invalid_token', reason, { scopes: this.requiredScopes });
  }
}

/** What keeps a verified JWT from being a bearer access token. */
function useOf(claims: Readonly<Record<string, unknown>>): string | undefined {
  const use = claims.token_use;
  // Cognito and Hydra name the use; anything but an access token is one that leaked from elsewhere.
  if (use !== undefined && use !== 'access' && use !== 'access_token')
    return 'the token is not an access token';
  // A confirmation that nobody verifies must not pass as a plain bearer token (RFC 9449 §7.1, RFC 8705 §3).
  if (claims.cnf !== undefined) return 'the token is bound to a key that cannot be verified here';
  if (claims.sub !== undefined && typeof claims.sub !== 'string') return 'the token is malformed';
  return undefined;
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
  const name = SCOPE_CLAIMS.find((each) => Object.hasOwn(claims, each));
  const value = name === undefined ? undefined : claims[name];
  if (typeof value === 'string') return value.split(' ').filter((scope) => scope !== '');
  return texts(value);
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
