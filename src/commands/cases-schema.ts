import { TOKEN } from '../parse/grammar.js';

const text = { type: 'string', minLength: 1 } as const;
/** JSON Schema (draft-07) of a table of expectations, which `scopegate test` reads. */
export const casesSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['cases'],
  properties: {
    cases: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['request', 'expect'],
        properties: {
          name: text,
          request: {
            type: 'string',
            title: 'a method and an http or https URL, such as GET https://a.example/b',
            pattern: '^[^ ]+ https?://[^ ]+$',
          },
          scope: { type: 'string' },
          aud: { type: ['string', 'array'], items: text },
          iss: text,
          sub: text,
          client_id: text,
          claims: { type: 'object' },
          session: {
            type: 'object',
            additionalProperties: false,
            description: 'The session of the cookie that the request carries, for cookie_session.',
            properties: {
              active: {
                type: 'boolean',
                description:
                  'Whether the session store knows the session; if false, it answers 401. Default true.',
              },
              cookie: {
                type: 'string',
                title: 'the name of a cookie',
                pattern: TOKEN.source,
                description: 'Default: the first of the rule’s only, or session.',
              },
              subject: { ...text, description: 'The subject that the store names. Default: subject.' },
              extra: { type: 'object', description: 'What the store names at extra_from. Default: nothing.' },
            },
          },
          expect: { anyOf: [{ type: 'integer', minimum: 200, maximum: 599 }, { enum: ['allow', 'deny'] }] },
          rule: text,
        },
      },
    },
  },
} as const;
