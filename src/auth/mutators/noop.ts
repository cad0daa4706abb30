import type { MutatorKind } from './mutator.js';

/** Oathkeeper's `noop` mutator: changes nothing. */
export const noop: MutatorKind = {
  name: 'noop',
  schema: { type: 'object', additionalProperties: false, properties: {} },
  compile: () => undefined,
};
