import type { ScopeStrategyName } from './strategy.js';

/**
 * Says whether the granted scopes include one required scope.
 *
 * @param granted the token's scopes
 * @param required one required scope
 */
export type ScopeStrategy = (granted: readonly string[], required: string) => boolean;

/**
 * Oathkeeper's three scope strategies, by the name that `scope_strategy` has in a rule. They behave like
 * ory/fosite's `scope_strategy.go`, whose test cases are in the vectors.
 */
export const scopeStrategies: Readonly<Record<ScopeStrategyName, ScopeStrategy>> = {
  exact: (granted, required) => granted.includes(required),
  hierarchic: (granted, required) => granted.some((scope) => covers(scope, required)),
  wildcard: (granted, required) => granted.some((scope) => matches(scope, required)),
};

/** `foo` covers itself and everything below it: `foo.bar`, `foo.bar.baz`. */
function covers(scope: string, required: string): boolean {
  return scope === required || required.startsWith(`${scope}.`);
}

/** `*` matches one non-empty part. As the last part, it matches one or more. */
function matches(scope: string, required: string): boolean {
  const parts = scope.split('.');
  const asked = required.split('.');
  if (parts.length > asked.length) return false;
  if (parts.length < asked.length && parts.at(-1) !== '*') return false;
  return parts.every((part, i) => (part === '*' && asked[i] !== '') || part === asked[i]);
}

/** The required scopes that the granted ones do not include. If there are none, the client has access. */
export function missingScopes(
  granted: readonly string[],
  required: readonly string[],
  strategy: ScopeStrategy,
): string[] {
  return required.filter((scope) => !strategy(granted, scope));
}
