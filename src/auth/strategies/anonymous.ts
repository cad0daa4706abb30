import type { Handler } from './strategy.js';

/**
 * Oathkeeper's `anonymous` authenticator: responsible only for requests without an Authorization field, which it
 * allows under a fixed subject; with one, the rule's next access strategy decides.
 */
export const anonymous: Handler = {
  name: 'anonymous',
  schema: {
    type: 'object',
    properties: {
      subject: { type: 'string', description: 'The subject of anonymous requests.', default: 'anonymous' },
    },
    additionalProperties: false,
  },
  compile(config) {
    const subject = typeof config.subject === 'string' ? config.subject : 'anonymous';
    const allowed = { kind: 'allow', subject: { subject } } as const;
    return {
      handler: 'anonymous',
      requiredScopes: [],
      authenticate: ({ fields }) => (fields.authorization === undefined ? allowed : { kind: 'pass' }),
    };
  },
};
