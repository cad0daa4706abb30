import type * as AjvPackage from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { ConfigError } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { lazyRequire } from '../../model/lazy-require.js';

/** Loaded when needed: only rules with `claims` do. */
const ajvPackage = lazyRequire<typeof AjvPackage>('ajv');

type Schema = Readonly<Record<string, unknown>>;
type SchemaPath = readonly string[];

/** The keywords of draft-07 that people write, for `did you mean`. */
const KEYWORDS = [
  ...[
    'type',
    'properties',
    'required',
    'enum',
    'const',
    'pattern',
    'patternProperties',
    'additionalProperties',
  ],
  ...[
    'items',
    'additionalItems',
    'contains',
    'minItems',
    'maxItems',
    'uniqueItems',
    'minLength',
    'maxLength',
  ],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'propertyNames'],
  ...[
    'minProperties',
    'maxProperties',
    'dependencies',
    'allOf',
    'anyOf',
    'oneOf',
    'not',
    'if',
    'then',
    'else',
  ],
  ...['$ref', 'definitions', 'title', 'description', 'default', 'examples'],
];

/**
 * Compiles the JSON Schema (draft-07) that the claims of a token must fit.
 *
 * @throws ConfigError with a path below the handler's `config` if it cannot be compiled
 */
export function compileClaims(schema: Schema): ValidateFunction {
  const { Ajv } = ajvPackage();
  // An instance for each schema: the `$id` of one schema must not be known to the next.
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, strictRequired: false, logger: false });
  if (ajv.validateSchema(schema) !== true) {
    const [error] = ajv.errors ?? [];
    const steps = (error?.instancePath ?? '').split('/').slice(1);
    const path = steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    throw new ConfigError(['claims', ...path], formProblem(error, valueAt(schema, path)));
  }
  try {
    // Claims are always an object. With the type given here, a schema need not state it to pass strict mode.
    return ajv.compile({ type: 'object', ...schema });
  } catch (error) {
    const { path, problem } = strictProblem(schema, error instanceof Error ? error.message : '');
    throw new ConfigError(['claims', ...path], problem);
  }
}

/** Says what is wrong with the value of a keyword. */
function formProblem(error: ErrorObject | undefined, data: unknown): string {
  const { keyword, params = {} } = error ?? {};
  switch (keyword) {
    case 'enum': {
      const values = (params.allowedValues as unknown[]).map(String);
      const hint = typeof data === 'string' ? nearest(data, values) : undefined;
      return `must be one of ${values.join(', ')}${hint === undefined ? '' : `; did you mean "${hint}"?`}`;
    }
    case 'type': {
      const type = String(params.type).replaceAll(',', ' or ');
      return `must be ${/^[aio]/.test(type) ? 'an' : 'a'} ${type}${type === 'array' ? `: write [${shown(data)}]` : ''}`;
    }
    case 'minimum':
    case 'exclusiveMinimum':
      return `must be ${keyword === 'minimum' ? 'at least' : 'more than'} ${String(params.limit)}`;
    case 'minItems':
      return 'must not be empty';
    case 'uniqueItems':
      return 'must not contain duplicates';
    case 'format':
      return params.format === 'regex' ? 'must be a regular expression' : 'must be a reference to a schema';
    default:
      return 'is not valid JSON Schema draft-07';
  }
}

function shown(data: unknown): string {
  return typeof data === 'string' && /^[\w.:/-]{1,60}$/.test(data) ? data : '…';
}

function valueAt(schema: unknown, path: SchemaPath): unknown {
  return path.reduce<unknown>((value, step) => (value as Schema | undefined)?.[step], schema);
}

/** Says in words what the compiler of schemas refuses, and where it is. */
function strictProblem(schema: Schema, message: string): { path: SchemaPath; problem: string } {
  const [, unknown] = /unknown keyword: "([^"]+)"/.exec(message) ?? [];
  if (unknown !== undefined) {
    const hint = nearest(unknown, KEYWORDS);
    const more =
      hint === undefined ? '; put the names of claims under properties' : `; did you mean "${hint}"?`;
    return { path: placeOf(schema, unknown), problem: `JSON Schema has no keyword "${unknown}"${more}` };
  }
  const [, type, keyword] = /missing type "([^"]+)" for keyword "([^"]+)"/.exec(message) ?? [];
  if (type !== undefined && keyword !== undefined) {
    const problem = `has no effect without a type; add "type: ${type.split(',')[0]}" next to it`;
    return { path: placeOf(schema, keyword), problem };
  }
  const [, format] = /unknown format "([^"]+)"/.exec(message) ?? [];
  if (format !== undefined) {
    const problem = `scopegate does not check the format "${format}"; write a pattern instead`;
    return { path: placeOf(schema, 'format', format), problem };
  }
  const [, reference] = /can't resolve reference (\S+)/.exec(message) ?? [];
  if (reference !== undefined) {
    const problem = `this schema has no "${reference}"; refer to a schema under definitions as #/definitions/NAME`;
    return { path: placeOf(schema, '$ref', reference), problem };
  }
  if (/regular expression/i.test(message)) {
    return invalidExpression(schema) ?? { path: [], problem: 'contains an invalid regular expression' };
  }
  const [, ignored, missing] = /"([^"]+)" without ([^:]*?) is ignored/.exec(message) ?? [];
  if (ignored !== undefined && missing !== undefined) {
    const problem = `has no effect without ${missing.replace(' and ', ' or ')}; add it, or remove this keyword`;
    return { path: placeOf(schema, ignored), problem };
  }
  if (/"items" is \d+-tuple/.test(message)) {
    const problem =
      'a list has one schema for each position; if all items have the same schema, write that schema without a list';
    return { path: placeOf(schema, 'items'), problem };
  }
  return {
    path: [],
    problem: 'the schema is incomplete: add the type of each value, and of the items of each array',
  };
}

/** The path of a keyword, the first one with this value; empty if it is not found. */
function placeOf(schema: unknown, keyword: string, value?: string): SchemaPath {
  return find(schema, (key, each) => key === keyword && (value === undefined || each === value))?.path ?? [];
}

function invalidExpression(schema: unknown): { path: SchemaPath; problem: string } | undefined {
  const found = find(
    schema,
    (key, value) =>
      (key === 'pattern' && typeof value === 'string' && !isExpression(value)) ||
      (key === 'patternProperties' && Object.keys(value ?? {}).some((source) => !isExpression(source))),
  );
  return found === undefined ? undefined : { path: found.path, problem: 'is not a valid regular expression' };
}

function isExpression(source: string): boolean {
  try {
    return new RegExp(source, 'u') !== undefined;
  } catch {
    return false;
  }
}

/** Finds the first member of a schema that fits, outer ones first. */
function find(
  schema: unknown,
  fits: (key: string, value: unknown) => boolean,
): { readonly path: SchemaPath } | undefined {
  const open: { readonly value: unknown; readonly path: SchemaPath }[] = [{ value: schema, path: [] }];
  for (const { value, path } of open) {
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (fits(key, inner)) return { path: [...path, key] };
      open.push({ value: inner, path: [...path, key] });
    }
  }
  return undefined;
}
