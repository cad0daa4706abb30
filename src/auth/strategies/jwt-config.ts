import { ConfigError } from '../../document/finding.js';
import { type KeySource, METADATA_OF, type Verification } from '../../model/outbound.js';
import { PUBLIC_KEY_SIGNATURES } from '../../model/signature-algorithms.js';
import type { RequiredPossession } from '../../model/strategy.js';
import { TOKEN } from '../../parse/grammar.js';
import type { TokenSource } from '../../parse/token.js';
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
  type TokenPlaces,
  texts,
  tokenFrom,
  tokenPlaces,
  tokenProperties,
} from './config.js';
import { type ScopeStrategy, scopeStrategies } from './scope.js';
import type { HandlerDefaults, ScopeStrategyName } from './strategy.js';
import { possessionSchema, TokenBinding } from './token-binding.js';

/** The `config` of a `jwt` handler, in one form for both ways to write it (Oathkeeper's and Istio's). */
export interface JwtConfig {
  readonly verification: Verification;
  /** A token must meet one of them (Istio's `authorizations`). Never empty. */
  readonly alternatives: readonly {
    readonly scopes: readonly string[];
    readonly audience: readonly string[];
  }[];
  readonly strategy: ScopeStrategy;
  readonly places: TokenPlaces;
  readonly binding: TokenBinding;
  /** The allowed values of the claim `token_use`. A token without the claim is not refused for it. */
  readonly uses: readonly string[];
  readonly demands: ClaimRequirements | undefined;
}

const scopes = {
  ...scopeTokens,
  description: 'Scopes that the token must have, all of them (RFC 6749 §3.3).',
} as const;
/** The location of a JWKS document. */
const keyUrl = {
  type: 'string',
  title: 'an http, https or file URL without credentials',
  pattern: '^(https?://[^\\s#@]+|file:///[^\\s?#]+)$',
} as const;

/** JSON Schema of the `config`: Oathkeeper's fields, and Istio's as Kyma has them. */
export const jwtSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    jwks_urls: { type: 'array', minItems: 1, items: keyUrl },
    trusted_issuers: {
      ...texts,
      description: 'Trusted issuers: the token must be from one of them. Empty: any issuer.',
    },
    target_audience: { ...texts, description: 'Audiences that the token must have, all of them.' },
    required_scope: scopes,
    allowed_algorithms: { ...texts, minItems: 1, description: 'Signature algorithms; default RS256.' },
    scope_strategy: scopeStrategySchema,
    token_from: tokenFrom,
    ...tokenProperties,
    proof_of_possession: possessionSchema,
    ...claimRequirementProperties,
    authentications: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['issuer'],
        properties: {
          issuer: { type: 'string', minLength: 1 },
          jwksUri: keyUrl,
          fromHeaders: {
            type: 'array',
            maxItems: 1,
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['name'],
              properties: { name: { type: 'string', minLength: 1 }, prefix: { type: 'string' } },
            },
          },
          fromParams: { ...texts, maxItems: 1 },
        },
      },
    },
    authorizations: {
      type: ['array', 'null'],
      items: {
        type: 'object',
        additionalProperties: false,
        properties: { requiredScopes: scopes, audiences: texts },
      },
    },
  },
} as const;

interface Oathkeeper {
  readonly jwks_urls?: readonly string[];
  readonly trusted_issuers?: readonly string[];
  readonly target_audience?: readonly string[];
  readonly required_scope?: readonly string[];
  readonly allowed_algorithms?: readonly string[];
  readonly scope_strategy?: ScopeStrategyName | 'none';
  readonly token_from?: TokenSource | null;
  readonly token_sources?: readonly TokenSource[];
}

interface Common extends ClaimRequirementConfig {
  readonly forward_token?: boolean;
  readonly proof_of_possession?: RequiredPossession;
}

interface Istio {
  readonly authentications?: readonly {
    readonly issuer: string;
    readonly jwksUri?: string;
    readonly fromHeaders?: readonly { readonly name: string; readonly prefix?: string }[];
    readonly fromParams?: readonly string[];
  }[];
  readonly authorizations?:
    | readonly { readonly requiredScopes?: readonly string[]; readonly audiences?: readonly string[] }[]
    | null;
}

const OATHKEEPER = [
  'jwks_urls',
  'trusted_issuers',
  'target_audience',
  'required_scope',
  'allowed_algorithms',
  'scope_strategy',
  'token_from',
  'token_sources',
] as const;

/**
 * Reads a `config` that fits the schema.
 *
 * @throws ConfigError if it cannot work
 */
export function readJwtConfig(config: Oathkeeper & Istio & Common, defaults: HandlerDefaults): JwtConfig {
  const leeway = leewayOf(config, defaults.leeway);
  return {
    ...readRequirements(config, { ...defaults, leeway }),
    binding: new TokenBinding(config.proof_of_possession, defaults),
    uses: config.allowed_token_use ?? ['access', 'access_token'],
    demands: compileClaimRequirements(config, leeway),
  };
}

type Requirements = Omit<JwtConfig, 'binding' | 'uses' | 'demands'>;

function readRequirements(config: Oathkeeper & Istio & Common, defaults: HandlerDefaults): Requirements {
  if (config.authentications === undefined && config.authorizations === undefined) {
    return fromOathkeeper(config, defaults);
  }
  const mixed = OATHKEEPER.find((field) => field in config);
  if (mixed !== undefined) {
    throw new ConfigError([mixed], `${mixed} cannot be combined with authentications and authorizations`);
  }
  return fromIstio(config, defaults);
}

function fromOathkeeper(config: Oathkeeper & Common, defaults: HandlerDefaults): Requirements {
  const { keyUrls = [], trustedIssuers = [], scopeStrategy = defaults.scopeStrategy } = defaults.jwt ?? {};
  const urls = config.jwks_urls ?? keyUrls;
  const issuers = config.trusted_issuers ?? trustedIssuers;
  checkUrls(config.jwks_urls ?? [], ['jwks_urls']);
  const scopes = config.required_scope ?? [];
  const strategy = scopeStrategyOf(config.scope_strategy, scopes, { ...defaults, scopeStrategy });
  const algorithms = config.allowed_algorithms ?? ['RS256'];
  algorithms.forEach(checkAlgorithm);
  return {
    verification: {
      sources:
        urls.length > 0 ? [{ issuers, urls }] : publishedBy(issuers, config.trusted_issuers !== undefined),
      algorithms,
      leeway: defaults.leeway,
    },
    alternatives: [{ scopes, audience: config.target_audience ?? [] }],
    strategy,
    places: tokenPlaces(config),
  };
}

/**
 * The key sets of a rule that names issuers and no key sets: each issuer's own, which verify its tokens only.
 *
 * @param own whether the rule itself names the issuers
 * @throws ConfigError if there is no issuer, or one whose keys cannot be found
 */
function publishedBy(issuers: readonly string[], own: boolean): readonly KeySource[] {
  if (issuers.length === 0) {
    throw new ConfigError(
      [],
      'must have the field "jwks_urls", "authentications", or "trusted_issuers" (whose metadata must name their keys); or set kyma.jwksUrls for all rules without these fields',
    );
  }
  issuers.forEach((issuer, index) => {
    checkDiscoverable(issuer, own ? ['trusted_issuers', index] : [], 'jwks_urls');
  });
  return issuers.map(discovered);
}

function discovered(issuer: string): KeySource {
  return { issuers: [issuer], urls: [METADATA_OF + issuer] };
}

/**
 * Checks that the metadata of an issuer has an address: http or https, without a query and a fragment (RFC 8414 §2).
 *
 * @param field what the rule would name the keys with
 */
function checkDiscoverable(issuer: string, path: readonly (string | number)[], field: string): void {
  if (/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i.test(issuer) && URL.canParse(issuer)) return;
  throw new ConfigError(
    path,
    `scopegate cannot find the keys of "${issuer}": only an issuer that is an http or https URL without a query can have metadata; add ${field}`,
  );
}

/**
 * Reads Istio's fields. Istio has no field for the algorithm: as in Envoy, the type of the key determines it.
 * Scopes are compared exactly.
 */
function fromIstio(
  { authentications, authorizations, forward_token: forwards }: Istio & Common,
  defaults: HandlerDefaults,
): Requirements {
  if (authentications === undefined) throw new ConfigError([], 'must have the field "authentications"');
  const sources = authentications.map(({ issuer, jwksUri }, index): KeySource => {
    if (jwksUri === undefined) {
      checkDiscoverable(issuer, ['authentications', index, 'issuer'], 'jwksUri');
      return discovered(issuer);
    }
    checkUrls([jwksUri], ['authentications', index, 'jwksUri'], true);
    return { issuers: [issuer], urls: [jwksUri] };
  });
  const places = authentications.map((each, index) => sourceOf(each, index));
  const other = places.findIndex((place) => JSON.stringify(place) !== JSON.stringify(places[0]));
  if (other >= 0) {
    throw new ConfigError(
      ['authentications', other],
      'all authentications must read the token from the same place',
    );
  }
  const alternatives = (authorizations ?? []).map(({ requiredScopes, audiences }) => ({
    scopes: requiredScopes ?? [],
    audience: audiences ?? [],
  }));
  return {
    verification: { sources, algorithms: PUBLIC_KEY_SIGNATURES, leeway: defaults.leeway },
    alternatives: alternatives.length === 0 ? [{ scopes: [], audience: [] }] : alternatives,
    strategy: scopeStrategies.exact,
    places: tokenPlaces({
      ...(places[0] === undefined ? {} : { token_from: places[0] }),
      ...(forwards === undefined ? {} : { forward_token: forwards }),
    }),
  };
}

function sourceOf(
  { fromHeaders = [], fromParams = [] }: NonNullable<Istio['authentications']>[number],
  index: number,
): TokenSource | undefined {
  const [header] = fromHeaders;
  const [parameter] = fromParams;
  if (header !== undefined && parameter !== undefined) {
    throw new ConfigError(['authentications', index], 'must read the token from one place');
  }
  if (parameter !== undefined) return { query_parameter: parameter };
  if (header === undefined) return undefined;
  const { name, prefix = '' } = header;
  const scheme = prefix.trim();
  const standard = name.toLowerCase() === 'authorization';
  if (standard && (scheme === '' || scheme.toLowerCase() === 'bearer')) return undefined;
  if (scheme === '') return { header: name };
  if (/[^\x20-\x7e]/.test(prefix)) {
    const path = ['authentications', index, 'fromHeaders', 0, 'prefix'];
    throw new ConfigError(path, 'must be printable ASCII, because it is compared with a header field');
  }
  return TOKEN.test(scheme) ? { header: name, scheme } : { header: name, prefix: scheme };
}

function checkAlgorithm(name: string, index: number): void {
  if (PUBLIC_KEY_SIGNATURES.includes(name)) return;
  const path = ['allowed_algorithms', index];
  if (/^(none|HS\d+)$/i.test(name)) {
    throw new ConfigError(
      path,
      `${name} is never allowed: with a public key set, anyone could forge such a token`,
    );
  }
  throw new ConfigError(
    path,
    `no signature algorithm is called "${name}"; it must be one of ${PUBLIC_KEY_SIGNATURES.join(', ')}`,
  );
}

function checkUrls(urls: readonly string[], path: readonly (string | number)[], single = false): void {
  urls.forEach((url, index) => {
    if (!URL.canParse(url)) throw new ConfigError(single ? path : [...path, index], `"${url}" is not a URL`);
  });
}
