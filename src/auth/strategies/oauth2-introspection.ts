import { ConfigError } from '../../document/finding.js';
import type { Endpoint, Grant } from '../../model/authorization-server.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { type Denial, denial } from '../../model/errors.js';
import type { ActiveAnswer, Introspected, IntrospectionTrace } from '../../model/introspection.js';
import { SAFE_METHODS } from '../../model/methods.js';
import type { HeaderRemoval } from '../../model/mutator.js';
import type {
  AccessStrategy,
  Outcome,
  RequestContext,
  RequiredPossession,
  Services,
  Subject,
} from '../../model/strategy.js';
import { TOKEN } from '../../parse/grammar.js';
import {
  type Credential,
  readCredential,
  type TokenCredential,
  type TokenSource,
} from '../../parse/token.js';
import { HostEndpoints } from '../introspection/host-endpoints.js';
import { type Requirements, unmetRequirement } from '../introspection/requirements.js';
import { endpointOf } from '../introspection/rule-endpoint.js';
import { readRetry, retrySchema } from '../retry.js';
import {
  type ClaimRequirementConfig,
  type ClaimRequirements,
  claimRequirementProperties,
  compileClaimRequirements,
  leewayOf,
} from './claim-requirements.js';
import {
  scopeStrategyOf,
  scopeStrategySchema,
  scopeTokens,
  type TokenConfig,
  type TokenPlaces,
  texts,
  tokenFrom,
  tokenPlaces,
  tokenProperties,
} from './config.js';
import { missingScopes, type ScopeStrategy } from './scope.js';
import { introspectionExtra } from './session.js';
import type { Handler, ScopeStrategyName } from './strategy.js';
import { type BindingResult, possessionSchema, TokenBinding } from './token-binding.js';

/**
 * Oathkeeper's `oauth2_introspection` authenticator: scopegate introspects the request's bearer token at the
 * authorization server (RFC 7662). The answer must be active and within its time, from a trusted issuer, for
 * the audience, and with every required scope. Each request checks all of it, whether the answer comes from
 * the cache or not (CVE-2021-32701).
 */
export const oauth2Introspection: Handler = {
  name: 'oauth2_introspection',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      required_scope: {
        ...scopeTokens,
        description: 'Scopes that the token must have, all of them (RFC 6749 §3.3).',
      },
      target_audience: { ...texts, description: 'Audiences that the token must have, all of them.' },
      trusted_issuers: { ...texts, description: 'Trusted issuers: the token must be from one of them.' },
      scope_strategy: {
        ...scopeStrategySchema,
        description:
          'How required scopes are compared; default introspection.scopeStrategy. `none` is for rules without required_scope.',
      },
      introspection_url: {
        type: 'string',
        title: 'an http or https URL without credentials and fragment',
        pattern: '^https?://[^\\s#@]+$',
        description:
          'Introspection endpoint to use instead of introspection.url, or the issuer of one of introspection.servers.',
      },
      introspection_request_headers: {
        type: 'object',
        additionalProperties: {
          type: 'string',
          title: 'a string of printable ASCII characters',
          pattern: '^[\\t\\x20-\\x7e]*$',
        },
        propertyNames: { title: 'the name of a header field', pattern: TOKEN.source },
        description: 'Header fields that scopegate sends with the introspection call.',
      },
      token_from: {
        ...tokenFrom,
        type: 'object',
        description: 'Where scopegate looks for the token instead of the Authorization field.',
      },
      ...tokenProperties,
      proof_of_possession: possessionSchema,
      ...claimRequirementProperties,
      pre_authorization: {
        type: 'object',
        additionalProperties: false,
        required: ['enabled'],
        properties: {
          enabled: { type: 'boolean' },
          client_id: { type: 'string', minLength: 1 },
          client_secret: { type: 'string', minLength: 1 },
          token_url: {
            type: 'string',
            title: 'an http or https URL without credentials and fragment',
            pattern: '^https?://[^\\s#@]+$',
          },
          scope: scopeTokens,
          audience: { type: 'string', minLength: 1 },
        },
        description:
          'scopegate sends the introspection call with a bearer token that it gets by client credentials; default introspection.clientAuth.',
      },
      retry: retrySchema,
      cache: {
        type: 'object',
        additionalProperties: false,
        properties: { enabled: { type: 'boolean' }, ttl: oathkeeperDurationSchema },
        description:
          'Whether answers are cached, and for how long at most; default and upper bound: introspection.cache.',
      },
      prefix: {
        type: 'string',
        minLength: 1,
        description:
          'The handler checks only tokens that begin with this text; the next handler gets the others.',
      },
      preserve_host: {
        type: 'boolean',
        description: 'Send the host of the request to the authorization server, in X-Forwarded-Host.',
      },
    },
  },

  compile(config, defaults) {
    const scopes = (config.required_scope as string[] | undefined) ?? [];
    const strategy = scopeStrategyOf(
      config.scope_strategy as ScopeStrategyName | 'none' | undefined,
      scopes,
      defaults,
    );
    const headers = config.introspection_request_headers as Record<string, string> | undefined;
    const grant = grantOf(config.pre_authorization as PreAuthorization | undefined);
    const url = config.introspection_url as string | undefined;
    const endpoint = endpointOf(url, headers, grant, defaults.endpoint, defaults.servers, callsOf(config));
    const demanded = config as ClaimRequirementConfig;
    const requirements: Requirements = {
      audience: (config.target_audience as string[] | undefined) ?? [],
      issuers: (config.trusted_issuers as string[] | undefined) ?? [],
      uses: demanded.allowed_token_use ?? ['access_token'],
      leeway: leewayOf(demanded, defaults.leeway),
    };
    return new Introspection(
      scopes,
      strategy,
      endpoint,
      requirements,
      tokenPlaces(config as TokenConfig),
      new TokenBinding(config.proof_of_possession as RequiredPossession | undefined, defaults),
      compileClaimRequirements(demanded, requirements.leeway),
      defaults.staleIfError ?? 0,
      config.prefix as string | undefined,
      config.preserve_host === true,
    );
  },
};

/** What a rule sets for its calls: how long answers are cached, and how long a failed call is retried. */
function callsOf(config: Readonly<Record<string, unknown>>): Pick<Endpoint, 'lifetime' | 'retry'> {
  const { enabled = true, ttl } = (config.cache ?? {}) as { enabled?: boolean; ttl?: string };
  const lifetime = !enabled ? 0 : ttl === undefined ? undefined : oathkeeperDurationSeconds(ttl) * 1000;
  const retry = readRetry(config.retry as Parameters<typeof readRetry>[0], ['retry']);
  return {
    ...(lifetime === undefined ? {} : { lifetime }),
    ...(retry === undefined ? {} : { retry }),
  };
}

/** Oathkeeper's fields for a {@link Grant}. */
interface PreAuthorization {
  readonly enabled: boolean;
  readonly client_id: string;
  readonly client_secret: string;
  readonly token_url: string;
  readonly scope?: readonly string[];
  readonly audience?: string;
}

function grantOf(config: PreAuthorization | undefined): Grant | undefined {
  if (config?.enabled !== true) return undefined;
  for (const field of ['client_id', 'client_secret', 'token_url'] as const) {
    if (config[field] === undefined)
      throw new ConfigError(['pre_authorization'], `it must have the field "${field}"`);
  }
  if (!URL.canParse(config.token_url)) {
    throw new ConfigError(['pre_authorization', 'token_url'], 'it is not a URL');
  }
  const { client_secret: secret, audience } = config;
  return {
    tokenUrl: config.token_url,
    clientId: config.client_id,
    clientSecret: () => secret,
    scope: config.scope ?? [],
    ...(audience === undefined ? {} : { audience }),
  };
}

class Introspection implements AccessStrategy {
  readonly handler = 'oauth2_introspection';
  readonly readsTokens = true;
  readonly requiredScopes: readonly string[];
  readonly #strategy: ScopeStrategy;
  readonly #endpoint: Endpoint;
  readonly #requirements: Requirements;
  readonly #demands: ClaimRequirements | undefined;
  readonly #staleIfError: number;
  readonly #prefix: string | undefined;
  /** Undefined if the authorization server does not get the request's host. */
  readonly #byHost: HostEndpoints | undefined;
  readonly tokenSources: readonly TokenSource[] | undefined;
  readonly removal: HeaderRemoval | undefined;
  readonly binding: TokenBinding;
  readonly extra = introspectionExtra;

  constructor(
    scopes: readonly string[],
    strategy: ScopeStrategy,
    endpoint: Endpoint,
    requirements: Requirements,
    { sources, removal }: TokenPlaces,
    binding: TokenBinding,
    demands: ClaimRequirements | undefined,
    staleIfError: number,
    prefix: string | undefined,
    preserveHost: boolean,
  ) {
    this.requiredScopes = scopes;
    this.#strategy = strategy;
    this.#endpoint = endpoint;
    this.#requirements = requirements;
    this.tokenSources = sources;
    this.removal = removal;
    this.binding = binding;
    this.#demands = demands;
    this.#staleIfError = staleIfError;
    this.#prefix = prefix;
    this.#byHost = preserveHost ? new HostEndpoints(endpoint) : undefined;
  }

  authenticate(attempt: RequestContext, services: Services): Outcome | Promise<Outcome> {
    const credential = readCredential(attempt, this.tokenSources, this.binding.dpop !== undefined);
    return credential instanceof Promise
      ? credential.then((read) => this.#introspect(read, attempt, services))
      : this.#introspect(credential, attempt, services);
  }

  #introspect(
    credential: Credential,
    attempt: RequestContext,
    services: Services,
  ): Outcome | Promise<Outcome> {
    if (credential.kind === 'none') return { kind: 'pass' };
    if (credential.kind === 'malformed') {
      return { kind: 'deny', denial: denial('invalid_request', credential.reason) };
    }
    if (this.#prefix !== undefined && !credential.token.startsWith(this.#prefix)) {
      const refused = denial('invalid_token', 'the token does not have the prefix that this rule requires');
      return { kind: 'pass', denial: this.#refusal(refused, credential) };
    }
    const introspected = services.introspect(this.#endpointFor(attempt), credential.token, attempt);
    return introspected instanceof Promise
      ? introspected.then((result) => this.#judge(result, credential, attempt, services))
      : this.#judge(introspected, credential, attempt, services);
  }

  #judge(
    introspected: Introspected,
    credential: TokenCredential,
    attempt: RequestContext,
    services: Services,
  ): Outcome | Promise<Outcome> {
    const introspection = introspected.trace;
    if (!introspected.ok && introspected.limited === true) {
      const { retryAfter } = introspected;
      const refused = denial('too_many_bad_tokens', 'too many invalid tokens came from this client', {
        retryAfter,
      });
      return { kind: 'deny', denial: refused, introspection };
    }
    if (!introspected.ok) {
      const answer = this.#stale(credential, attempt, services);
      if (answer !== undefined) {
        const trace = { ...introspection, from: 'stale' } as const;
        return this.#judge({ ok: true, answer, trace }, credential, attempt, services);
      }
      const refused = denial(
        'authorization_server_unavailable',
        'the authorization server gave no usable answer',
        {
          retryAfter: introspected.retryAfter,
          cause: introspected.code ?? introspected.cause,
        },
      );
      return { kind: 'deny', denial: refused, introspection };
    }
    const { answer } = introspected;
    if (!answer.active) {
      return {
        kind: 'deny',
        denial: this.#refusal(denial('invalid_token', 'the token is not active'), credential),
        introspection,
      };
    }
    const subject = subjectOf(answer);
    const problem = unmetRequirement(answer, this.#requirements, services.now());
    if (problem !== undefined) {
      const refused = this.#refusal(denial('invalid_token', problem), credential);
      return { kind: 'deny', denial: refused, introspection, subject };
    }
    const bound = this.binding.check(answer.claims, credential, attempt, services);
    return bound instanceof Promise
      ? bound.then((settled) =>
          this.#authorize(settled, answer, subject, credential, introspection, services.now()),
        )
      : this.#authorize(bound, answer, subject, credential, introspection, services.now());
  }

  #endpointFor({ target }: RequestContext): Endpoint {
    return this.#byHost?.of(target.host) ?? this.#endpoint;
  }

  /** The expired answer about a token, if the rule accepts one and the request's method is safe. */
  #stale({ token }: TokenCredential, attempt: RequestContext, services: Services): ActiveAnswer | undefined {
    if (this.#staleIfError === 0 || !SAFE_METHODS.has(attempt.method)) return undefined;
    return services.stale?.(this.#endpointFor(attempt), token, this.#staleIfError);
  }

  #authorize(
    bound: BindingResult,
    answer: ActiveAnswer,
    subject: Subject,
    credential: TokenCredential,
    introspection: IntrospectionTrace,
    now: number,
  ): Outcome {
    const unfit = bound?.denial ?? this.#demands?.refuse(answer.claims, now);
    if (unfit !== undefined) {
      return { kind: 'deny', denial: this.#refusal(unfit, credential), introspection, subject };
    }
    if (missingScopes(answer.scopes, this.requiredScopes, this.#strategy).length > 0) {
      const refused = denial('insufficient_scope', 'the token lacks a required scope');
      return { kind: 'deny', denial: this.#refusal(refused, credential), introspection, subject };
    }
    return bound?.nonce === undefined
      ? { kind: 'allow', subject, introspection }
      : { kind: 'allow', subject, introspection, nonce: bound.nonce };
  }

  /** Adds to a refusal of the token what the client must send instead: the scopes and the scheme. */
  #refusal(refused: Denial, { scheme }: TokenCredential): Denial {
    const scopes = this.requiredScopes;
    return scheme === undefined ? { ...refused, scopes } : { ...refused, scopes, scheme };
  }
}

function subjectOf(answer: ActiveAnswer): Subject {
  const { subject = '', clientId, scopes, claims, expiresAt } = answer;
  return { subject, clientId, scopes, claims, expiresAt };
}
