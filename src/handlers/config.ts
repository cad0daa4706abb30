import { type ScopeStrategy, scopeStrategies } from './scope.js';
import { ConfigError, type HandlerDefaults, type ScopeStrategyName } from './strategy.js';

/** JSON Schema of a list of texts. */
export const texts = { type: 'array', items: { type: 'string', minLength: 1 } } as const;

/** JSON Schema of a list of scope tokens (RFC 6749 §3.3). */
export const scopeTokens = {
  type: 'array',
  items: { type: 'string', pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$' },
} as const;

/** JSON Schema of `scope_strategy`. */
export const scopeStrategySchema = { enum: ['exact', 'hierarchic', 'wildcard', 'none'] } as const;

/** JSON Schema of `token_from`: one place where the token stands instead of the Authorization field. */
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
 * The comparison a rule's `scope_strategy` names, or the gateway's own where it names none.
 *
 * @param scopes the rule's required scopes
 * @throws ConfigError when `none` would leave required scopes unchecked
 */
export function scopeStrategyOf(
  name: ScopeStrategyName | 'none' | undefined,
  scopes: readonly string[],
  defaults: HandlerDefaults,
): ScopeStrategy {
  if (name !== 'none') return scopeStrategies[name ?? defaults.scopeStrategy];
  if (scopes.length > 0) {
    throw new ConfigError(['scope_strategy'], 'scope_strategy none would leave required_scope unchecked');
  }
  return scopeStrategies.exact;
}
