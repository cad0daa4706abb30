import type { Handler } from './strategy.js';

/**
 * Oathkeeper's `anonymous` authenticator: allows requests without an Authorization field, under a fixed
 * subject. As the last access strategy of a rule it makes authentication optional. It does not accept a
 * request with a credential, so such a request is refused if no earlier strategy takes the credential.
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
      needsNoCredential: true,
      // An empty field carries no credential.
      authenticate: ({ fields }) => ((fields.authorization ?? '') === '' ? allowed : { kind: 'pass' }),
    };
  },
};
