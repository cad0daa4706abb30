import { denial } from '../../model/errors.js';
import type { AuthorizerKind } from './authorizer.js';

const NO_CONFIG = { type: 'object', properties: {}, additionalProperties: false } as const;
const DENIED = denial('access_denied', 'the rule denies every request');

/** Oathkeeper's `allow`: every authenticated request is allowed. */
export const allow: AuthorizerKind = { name: 'allow', schema: NO_CONFIG, compile: () => undefined };

/** Oathkeeper's `deny`: every request is denied, authenticated or not. */
export const deny: AuthorizerKind = {
  name: 'deny',
  schema: NO_CONFIG,
  compile: () => ({ headers: [], cookies: [], keys: [], offline: true, mutate: () => DENIED }),
};
