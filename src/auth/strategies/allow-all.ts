import type { AccessStrategy, Outcome } from '../../model/strategy.js';
import type { Handler } from './strategy.js';

const ALLOW: Outcome = { kind: 'allow', subject: { subject: '' } };

/** The schema of handlers that allow every request: they take no configuration. */
export const EMPTY_CONFIG = { type: 'object', properties: {}, additionalProperties: false } as const;

/** Creates a handler that allows every request of the rule, with a credential or without. */
export function allowAllHandler(name: string): Handler {
  const strategy: AccessStrategy = { handler: name, requiredScopes: [], authenticate: () => ALLOW };
  return { name, schema: EMPTY_CONFIG, compile: () => strategy };
}

/**
 * Kyma's `allow`: no authentication. Unlike in Kyma, the rule's methods still apply: Kyma's VirtualService
 * exposed every method of an `allow` path.
 */
export const allow = allowAllHandler('allow');

/** Kyma's `no_auth`, the later name of `allow`. */
export const noAuth = allowAllHandler('no_auth');

/**
 * Oathkeeper's `noop` authenticator: scopegate forwards the request as it is, including its Authorization.
 */
export const noop = allowAllHandler('noop');
