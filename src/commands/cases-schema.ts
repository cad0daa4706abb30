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
          request: { type: 'string', pattern: '^[^ ]+ https?://[^ ]+$' },
          scope: { type: 'string' },
          aud: { type: ['string', 'array'], items: text },
          iss: text,
          sub: text,
          client_id: text,
          claims: { type: 'object' },
          expect: { anyOf: [{ type: 'integer', minimum: 200, maximum: 599 }, { enum: ['allow', 'deny'] }] },
          rule: text,
        },
      },
    },
  },
} as const;
