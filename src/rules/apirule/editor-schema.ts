import { mutators } from '../../auth/mutators/table.js';
import { handlers } from '../../auth/strategies/table.js';
import { VERSION } from './schema.js';
import { EARLIER_VERSION, v1alpha1 } from './v1alpha1.js';
import { v1beta1 } from './v1beta1.js';
import { LATER_VERSIONS, v2 } from './v2.js';
import type { ApiRuleVersion } from './version.js';

type Schema = Readonly<Record<string, unknown>>;

/** The schema of the `config` of each handler or mutator, selected by its name. */
function configsOf(table: ReadonlyMap<string, { readonly schema: object }>): Schema {
  return {
    properties: { handler: { enum: [...table.keys()] } },
    allOf: [...table].map(([name, { schema }]) => ({
      if: { properties: { handler: { const: name } } },
      // YAML reads `config:` without a value as null.
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { properties: { config: { anyOf: [schema, { type: 'null' }] } } },
    })),
  };
}

/**
 * The schema of a whole document of one version. scopegate validates the parts one after the other; an editor
 * validates all of it at once.
 */
function documentOf(dialect: ApiRuleVersion, versions: readonly string[]): Schema {
  const { documentSchema, specSchema, ruleSchema } = dialect as unknown as Readonly<
    Record<'documentSchema' | 'specSchema' | 'ruleSchema', { readonly properties: Schema } & Schema>
  >;
  const rule = {
    ...ruleSchema,
    properties: {
      ...ruleSchema.properties,
      ...extended(ruleSchema.properties, 'accessStrategies', { $ref: '#/definitions/accessStrategy' }),
      ...extended(ruleSchema.properties, 'mutators', { $ref: '#/definitions/mutator' }),
    },
  };
  const rules = { ...(specSchema.properties.rules as object), items: rule };
  return {
    ...documentSchema,
    properties: {
      ...documentSchema.properties,
      apiVersion: { enum: versions },
      spec: { ...specSchema, properties: { ...specSchema.properties, rules } },
    },
  };
}

/** Makes each element of a list of handlers also match one more schema. */
function extended(properties: Schema, name: string, more: Schema): Schema {
  const list = properties[name] as { readonly items: object } | undefined;
  return list === undefined ? {} : { [name]: { ...list, items: { allOf: [list.items, more] } } };
}

/**
 * The JSON Schema (draft-07) for editors: an APIRule in every supported version, with the configuration of
 * each handler and mutator. scopegate itself also checks what a schema cannot express.
 */
export function apiRuleEditorSchema(): Schema {
  const dialects: readonly (readonly [ApiRuleVersion, readonly string[]])[] = [
    [v1beta1, [VERSION]],
    [v2, LATER_VERSIONS],
    [v1alpha1, [EARLIER_VERSION]],
  ];
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'APIRule, as scopegate reads it',
    definitions: { accessStrategy: configsOf(handlers), mutator: configsOf(mutators) },
    type: 'object',
    required: ['apiVersion'],
    properties: { apiVersion: { enum: dialects.flatMap(([, versions]) => versions) } },
    allOf: dialects.map(([dialect, versions]) => ({
      if: { required: ['apiVersion'], properties: { apiVersion: { enum: versions } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: documentOf(dialect, versions),
    })),
  };
}
