/**
 * JSON Schemas (draft-07) of an APIRule `gateway.kyma-project.io/v1beta1`: one for each part that is
 * validated separately.
 */

import { optionsSchema } from './options.js';

/** The API group of Kyma's resources. */
export const GROUP = 'gateway.kyma-project.io';

/** The version that all other versions are converted to. */
export const VERSION = `${GROUP}/v1beta1`;

/** All supported versions. The recommended one for rules is first. */
const VERSIONS = [VERSION, `${GROUP}/v2`, `${GROUP}/v2alpha1`, `${GROUP}/v1alpha1`];

const strings = { type: 'array', items: { type: 'string' } } as const;

/** The fields that Kubernetes puts into `metadata`. Only the name and the namespace have a meaning here. */
const metadata = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: {
      type: 'string',
      title: 'the name of a resource (lower-case letters, digits, - and .)',
      pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    },
    namespace: {
      type: 'string',
      title: 'the name of a namespace (lower-case letters, digits and -)',
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    },
    annotations: { type: ['object', 'null'], additionalProperties: { type: 'string' } },
    labels: { type: ['object', 'null'], additionalProperties: { type: 'string' } },
    clusterName: {},
    creationTimestamp: {},
    deletionGracePeriodSeconds: {},
    deletionTimestamp: {},
    finalizers: {},
    generateName: {},
    generation: {},
    managedFields: {},
    ownerReferences: {},
    resourceVersion: {},
    selfLink: {},
    uid: {},
  },
} as const;

/** The document without its spec. */
export const apiRuleSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'kind', 'metadata', 'spec'],
  properties: {
    apiVersion: { enum: VERSIONS },
    kind: { const: 'APIRule' },
    metadata,
    spec: {},
    status: {},
  },
} as const;

const service = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'port'],
  properties: {
    name: {
      type: 'string',
      title: 'the name of a service (letters, digits, -, _ and .)',
      pattern: '^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$',
    },
    namespace: {
      type: 'string',
      title: 'the name of a namespace (lower-case letters, digits and -)',
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    },
    port: { type: 'integer', minimum: 1, maximum: 65_535 },
    external: { type: 'boolean' },
  },
} as const;

/** Seconds, with Kyma's limits. */
const timeout = { type: 'integer', title: 'a whole number of seconds', minimum: 1, maximum: 3900 } as const;

/**
 * The schema of a `corsPolicy`.
 *
 * @param maxAge the schema of the field that says how long a browser may cache the answer
 */
export function corsSchema<T extends object>(maxAge: T) {
  return {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: {
      allowHeaders: strings,
      allowMethods: strings,
      allowOrigins: {
        type: 'array',
        items: {
          type: 'object',
          additionalProperties: false,
          properties: { exact: { type: 'string' }, prefix: { type: 'string' }, regex: { type: 'string' } },
        },
      },
      allowCredentials: { type: 'boolean' },
      exposeHeaders: strings,
      maxAge,
    },
  } as const;
}

/** The spec without its rules. */
export const specSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['host', 'gateway', 'rules'],
  properties: {
    gateway: { type: 'string', minLength: 1 },
    host: { type: 'string', minLength: 1 },
    service,
    timeout,
    corsPolicy: corsSchema({ type: 'string', title: 'a duration such as 10m or 1h30m' } as const),
    rules: { type: 'array', minItems: 1 },
  },
} as const;

/** A handler as it is written in a rule. */
export const handlerSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['handler'],
  properties: { handler: { type: 'string', minLength: 1 }, config: { type: ['object', 'null'] } },
} as const;

/** One rule. The content of a handler's `config` is validated by the handler's own schema. */
export const ruleSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['path', 'methods', 'accessStrategies'],
  properties: {
    path: { type: 'string', minLength: 1 },
    methods: { type: 'array', minItems: 1, items: { type: 'string' } },
    service,
    timeout,
    accessStrategies: { type: 'array', minItems: 1, items: handlerSchema },
    mutators: { type: ['array', 'null'], items: handlerSchema },
    scopegate: optionsSchema,
  },
} as const;
