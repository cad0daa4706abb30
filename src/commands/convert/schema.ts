import type { HandlerEntry } from '../../rules/apirule/access-strategies.js';
import { handlerSchema } from '../../rules/apirule/schema.js';

/** JSON Schema (draft-07) of an Oathkeeper access rule. */
export const accessRuleSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['match', 'authenticators', 'authorizer'],
  properties: {
    id: { type: 'string', minLength: 1 },
    version: { type: 'string' },
    description: { type: 'string' },
    match: {
      type: 'object',
      additionalProperties: false,
      properties: {
        url: { type: 'string', minLength: 1 },
        methods: { type: 'array', items: { type: 'string', minLength: 1 } },
        authority: { type: 'string' },
        full_method: { type: 'string' },
        allow_http_get: { type: 'boolean' },
      },
    },
    authenticators: { type: 'array', minItems: 1, items: handlerSchema },
    authorizer: handlerSchema,
    mutators: { type: ['array', 'null'], items: handlerSchema },
    errors: { type: ['array', 'null'], items: handlerSchema },
    upstream: {
      type: 'object',
      additionalProperties: false,
      properties: {
        url: { type: 'string' },
        strip_path: { type: ['string', 'null'] },
        preserve_host: { type: ['boolean', 'null'] },
        // Spelled as in the custom resource.
        stripPath: { type: ['string', 'null'] },
        preserveHost: { type: ['boolean', 'null'] },
      },
    },
    // Only in the custom resource that Oathkeeper Maester reads.
    configMapName: { type: 'string' },
  },
} as const;

/** An access rule that fits the schema. */
export interface AccessRule {
  readonly id?: string;
  readonly description?: string;
  readonly match: {
    readonly url?: string;
    readonly methods?: readonly string[];
    readonly full_method?: string;
  };
  readonly authenticators: readonly HandlerEntry[];
  readonly authorizer: HandlerEntry;
  readonly mutators?: readonly HandlerEntry[] | null;
  readonly errors?: readonly HandlerEntry[] | null;
  readonly upstream?: {
    readonly url?: string;
    readonly strip_path?: string | null;
    readonly preserve_host?: boolean | null;
    readonly stripPath?: string | null;
    readonly preserveHost?: boolean | null;
  };
}
