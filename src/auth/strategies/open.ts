import type { AccessStrategy, Outcome } from '../../model/strategy.js';
import type { Handler } from './strategy.js';

const OPEN: Outcome = { kind: 'allow', subject: { subject: '' } };

/** Handlers that let everyone in take no configuration. */
export const EMPTY_CONFIG = { type: 'object', properties: {}, additionalProperties: false } as const;

/** A handler under which every request of the rule is allowed, with a credential or without. */
export function openHandler(name: string): Handler {
  const strategy: AccessStrategy = { handler: name, requiredScopes: [], authenticate: () => OPEN };
  return { name, schema: EMPTY_CONFIG, compile: () => strategy };
}

/**
 * Kyma's `allow`: no authentication. Unlike in Kyma, the rule's methods still hold: Kyma's VirtualService exposed
 * every method of an `allow` path.
 */
export const allow = openHandler('allow');

/** Kyma's `no_auth`, the later name of `allow`. */
export const noAuth = openHandler('no_auth');

/** Oathkeeper's `noop` authenticator: the request is forwarded as it is, its Authorization included. */
export const noop = openHandler('noop');
