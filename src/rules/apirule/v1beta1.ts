import type { CorsEntry } from './cors.js';
import { apiRuleSchema, ruleSchema, specSchema } from './schema.js';
import type { ApiRuleVersion, RuleEntry, Service } from './version.js';

/** The dialect that the model is made after. */
export const v1beta1: ApiRuleVersion = {
  documentSchema: apiRuleSchema,
  specSchema,
  ruleSchema,
  // Kyma took the upstream's CORS fields away only where there was a policy to put in their place.
  removesCors: false,
  spec(value) {
    const { host, service, timeout, corsPolicy } = value as {
      readonly host: string;
      readonly service?: Service;
      readonly timeout?: number;
      readonly corsPolicy?: CorsEntry | null;
    };
    return { hosts: [{ text: host, path: ['spec', 'host'] }], service, timeout, corsPolicy };
  },
  entry: (value) => value as RuleEntry,
  places: (document) => document,
  words: (message) => message,
};
