import { ConfigError } from '../../document/finding.js';
import type { HeaderRemoval } from '../../model/mutator.js';
import { cookieKey } from '../../parse/cookies.js';
import { fieldKey } from '../../parse/field-names.js';
import { TOKEN } from '../../parse/grammar.js';
import type { TokenSource } from '../../parse/token.js';
import { type ScopeStrategy, scopeStrategies } from './scope.js';
import type { HandlerDefaults, ScopeStrategyName } from './strategy.js';

/** JSON Schema of a list of texts. */
export const texts = { type: 'array', items: { type: 'string', minLength: 1 } } as const;

/** JSON Schema of a list of scope tokens (RFC 6749 §3.3). */
export const scopeTokens = {
  type: 'array',
  items: {
    type: 'string',
    title: 'one scope, without spaces and quotes (for two scopes write [read, write])',
    pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$',
  },
} as const;

/** JSON Schema of `scope_strategy`. */
export const scopeStrategySchema = { enum: ['exact', 'hierarchic', 'wildcard', 'none'] } as const;

/**
 * JSON Schema of `token_from`: one place from which the token is read, instead of the Authorization field.
 */
export const tokenFrom = {
  type: ['object', 'null'],
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
  properties: {
    header: { type: 'string', minLength: 1 },
    query_parameter: { type: 'string', minLength: 1 },
    cookie: { type: 'string', minLength: 1 },
  },
} as const;

/**
 * Gets the comparison that a rule's `scope_strategy` names, or the gateway's default if it names none.
 *
 * @param scopes the rule's required scopes
 * @throws ConfigError if `none` would leave required scopes unchecked
 */
export function scopeStrategyOf(
  name: ScopeStrategyName | 'none' | undefined,
  scopes: readonly string[],
  defaults: HandlerDefaults,
): ScopeStrategy {
  if (name !== 'none') return scopeStrategies[name ?? defaults.scopeStrategy];
  if (scopes.length > 0) {
    throw new ConfigError(
      ['scope_strategy'],
      'none would leave required_scope unchecked; write exact, hierarchic or wildcard',
    );
  }
  return scopeStrategies.exact;
}

/** JSON Schema of `token_sources` and `forward_token`. */
export const tokenProperties = {
  token_sources: {
    type: 'array',
    minItems: 1,
    maxItems: 8,
    items: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      dependencies: { scheme: ['header'] },
      properties: {
        header: { type: 'string', title: 'the name of a header field', pattern: TOKEN.source },
        scheme: { type: 'string', title: 'an authentication scheme', pattern: TOKEN.source },
        query_parameter: { type: 'string', minLength: 1 },
        cookie: { type: 'string', title: 'the name of a cookie', pattern: TOKEN.source },
        form_parameter: { type: 'string', minLength: 1 },
      },
    },
    description:
      'Where scopegate looks for the token, in this order, instead of the Authorization field. It refuses a request with two tokens.',
  },
  forward_token: {
    type: 'boolean',
    description:
      'Whether scopegate forwards the token; default true. It never forwards a token in the query.',
  },
} as const;

/** The same fields, in a `config` that fits the schema. */
export interface TokenConfig {
  readonly token_from?: TokenSource | null;
  readonly token_sources?: readonly TokenSource[];
  readonly forward_token?: boolean;
}

/** From where a rule's token is read, and which fields and cookies are not sent upstream. */
export interface TokenPlaces {
  readonly sources: readonly TokenSource[] | undefined;
  readonly removal: HeaderRemoval | undefined;
}

/**
 * Reads the fields that say from where a rule's token is read.
 *
 * @throws ConfigError if a place is given twice, or the fields contradict each other
 */
export function tokenPlaces({
  token_from: from,
  token_sources: list,
  forward_token: forwards,
}: TokenConfig): TokenPlaces {
  if (list !== undefined && from !== undefined && from !== null) {
    throw new ConfigError(
      ['token_sources'],
      'token_sources and token_from cannot both be set; remove one of them',
    );
  }
  const places = list?.map((source) =>
    JSON.stringify(Object.entries(source).filter(([key]) => key !== 'scheme')).toLowerCase(),
  );
  list?.forEach((source, index) => {
    if (Object.keys(source).filter((key) => key !== 'scheme').length !== 1) {
      throw new ConfigError(
        ['token_sources', index],
        'must name exactly one of header, query_parameter, cookie and form_parameter',
      );
    }
    if (places?.indexOf(places[index] as string) !== index) {
      throw new ConfigError(['token_sources', index], 'names the same place as an earlier entry; remove it');
    }
    if ('form_parameter' in source && forwards === false) {
      throw new ConfigError(
        ['forward_token'],
        'scopegate cannot remove a token from a form; remove forward_token, or form_parameter from token_sources',
      );
    }
  });
  const sources = list ?? (from === undefined || from === null ? undefined : [from]);
  return {
    sources,
    removal: forwards === false ? removalOf(sources ?? [{ header: 'authorization' }]) : undefined,
  };
}

function removalOf(sources: readonly TokenSource[]): HeaderRemoval {
  const headers = sources.flatMap((source) =>
    'header' in source ? [fieldKey(source.header.toLowerCase())] : [],
  );
  const cookies = sources.flatMap((source) => ('cookie' in source ? [cookieKey(source.cookie)] : []));
  // Remove the DPoP proof too: it proves nothing without its token.
  return { headers: new Set([...headers, 'dpop']), cookies: new Set(cookies) };
}
