import { denial } from '../../model/errors.js';
import type { AccessStrategy, Outcome } from '../../model/strategy.js';
import { EMPTY_CONFIG } from './allow-all.js';
import type { Handler } from './strategy.js';

const DENIED: Outcome = { kind: 'deny', denial: denial('unauthorized', 'the rule denies every request') };
const strategy: AccessStrategy = { handler: 'unauthorized', requiredScopes: [], authenticate: () => DENIED };

/** Oathkeeper's `unauthorized` authenticator: every request is denied. */
export const unauthorized: Handler = {
  name: 'unauthorized',
  schema: EMPTY_CONFIG,
  compile: () => strategy,
};
