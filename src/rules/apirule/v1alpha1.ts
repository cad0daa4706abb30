import type { CorsEntry } from './cors.js';
import { apiRuleSchema, GROUP, ruleSchema, specSchema } from './schema.js';
import { v1beta1 } from './v1beta1.js';
import type { ApiRuleVersion, Service } from './version.js';

/** The version before v1beta1. */
export const EARLIER_VERSION = `${GROUP}/v1alpha1`;

const { service, host } = specSchema.properties;
const { host: _, ...properties } = specSchema.properties;

/**
 * APIRule `v1alpha1`. It is like v1beta1, but the host is a field of the service. Kyma converts it in the
 * same way (`apis/gateway/v1alpha1/apirule_conversion.go` of kyma-project/api-gateway).
 */
export const v1alpha1: ApiRuleVersion = {
  ...v1beta1,
  documentSchema: apiRuleSchema,
  specSchema: {
    ...specSchema,
    required: ['service', 'gateway', 'rules'],
    properties: {
      ...properties,
      service: {
        ...service,
        required: [...service.required, 'host'],
        properties: { ...service.properties, host },
      },
    },
  },
  ruleSchema,
  spec(value) {
    const { service, timeout, corsPolicy } = value as {
      readonly service: Service & { readonly host: string };
      readonly timeout?: number;
      readonly corsPolicy?: CorsEntry | null;
    };
    return {
      hosts: [{ text: service.host, path: ['spec', 'service', 'host'] }],
      service,
      timeout,
      corsPolicy,
    };
  },
};
