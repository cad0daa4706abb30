import type { AnySchema, ErrorObject } from 'ajv';
import { compile } from './compile.js';
import { type Finding, MAX_FINDINGS } from './finding.js';
import { nearest } from './nearest.js';
import type { Path, SourceDocument } from './yaml.js';

/**
 * Checks the part of a document at `base` against a JSON Schema and says where each violation stands.
 *
 * @param base the path of the checked part inside the document
 * @param value that part's value (default: the document's own)
 * @returns one finding a violation, empty when the value fits
 */
export function validate(
  document: SourceDocument,
  schema: AnySchema & object,
  base: Path = [],
  value: unknown = document.value,
): Finding[] {
  const check = compile(schema);
  if (check(value)) return [];
  return (check.errors ?? [])
    .slice(0, MAX_FINDINGS)
    .filter(isOwnCause)
    .map((error, _index, all) => toFinding(document, base, error, all));
}

/**
 * `if`/`oneOf`/`anyOf` report themselves beside the branch that failed; only the branch tells a reader what to mend.
 * So does a mistyped key: the field it was meant to be is not missing as well.
 */
function isOwnCause(error: ErrorObject, _index: number, all: readonly ErrorObject[]): boolean {
  if (error.keyword === 'if') return false;
  if (error.keyword === 'required') {
    const missing = [String(error.params.missingProperty)];
    return !unknownKeys(error, all).some((key) => nearest(key, missing) !== undefined);
  }
  if (error.keyword === 'oneOf' || error.keyword === 'anyOf') {
    return !all.some((other) => other !== error && other.schemaPath.startsWith(`${error.schemaPath}/`));
  }
  return true;
}

/** The keys nobody knows in the mapping that an error is about. */
function unknownKeys(error: ErrorObject, all: readonly ErrorObject[]): string[] {
  return all
    .filter(
      ({ keyword, instancePath }) =>
        keyword === 'additionalProperties' && instancePath === error.instancePath,
    )
    .map(({ params }) => String(params.additionalProperty));
}

function toFinding(
  document: SourceDocument,
  base: Path,
  error: ErrorObject,
  all: readonly ErrorObject[],
): Finding {
  const path = [...base, ...pointerSteps(error.instancePath)];
  const name = displayName(path);
  switch (error.keyword) {
    case 'additionalProperties':
    case 'unevaluatedProperties': {
      const key = String(error.params.additionalProperty ?? error.params.unevaluatedProperty);
      const known = Object.keys(
        (error.parentSchema as { properties?: object } | undefined)?.properties ?? {},
      );
      const hint = nearest(key, known);
      return {
        ...document.keyAt([...path, key]),
        level: 'error',
        code: 'unknown-field',
        message: `unknown field "${key}"${name === '' ? '' : ` in ${name}`}${hint === undefined ? '' : `; did you mean "${hint}"?`}`,
      };
    }
    case 'required': {
      const key = String(error.params.missingProperty);
      // A key nobody knows is where the missing one should stand, more likely than at the mapping's first line.
      const [unknown] = unknownKeys(error, all);
      return {
        ...(unknown === undefined ? document.at(path) : document.keyAt([...path, unknown])),
        level: 'error',
        code: 'missing-field',
        message: `${name === '' ? 'the document' : name} must have the field "${key}"`,
      };
    }
    case 'type':
      return {
        ...document.at(path),
        level: 'error',
        code: 'wrong-type',
        message: `${name} must be ${wanted(error)}, not ${article(typeName(error.data))}`,
      };
    case 'enum':
      return {
        ...document.at(path),
        level: 'error',
        code: 'invalid-value',
        message: `${name} must be one of ${(error.params.allowedValues as unknown[]).map((v) => JSON.stringify(v)).join(', ')}${meant(error)}`,
      };
    case 'const':
      return {
        ...document.at(path),
        level: 'error',
        code: 'invalid-value',
        message: `${name} must be ${JSON.stringify(error.params.allowedValue)}`,
      };
    case 'pattern': {
      return {
        ...document.at(path),
        level: 'error',
        code: 'invalid-value',
        message: `${name} must be ${titleOf(error) ?? 'of another form'}`,
      };
    }
    default:
      return {
        ...document.at(path),
        level: 'error',
        code: 'invalid-value',
        message: `${name} ${LIMITS[error.keyword]?.(error.params.limit as number) ?? error.message ?? 'is invalid'}`,
      };
  }
}

/** What the limits of JSON Schema ask for. */
const LIMITS: Readonly<Record<string, (limit: number) => string>> = {
  minItems: (limit) => (limit === 1 ? 'must not be empty' : `must have ${limit} items or more`),
  maxItems: (limit) => `must have at most ${limit} item${limit === 1 ? '' : 's'}`,
  minLength: (limit) => (limit === 1 ? 'must not be empty' : `must have ${limit} characters or more`),
  minProperties: (limit) => `must have at least ${limit} field${limit === 1 ? '' : 's'}`,
  maxProperties: (limit) => `must have at most ${limit} field${limit === 1 ? '' : 's'}`,
  minimum: (limit) => `must be ${limit} or more`,
  maximum: (limit) => `must be ${limit} or less`,
};

/** A schema's `title` says in words what a pattern says to machines: `a duration such as 2s`. */
function titleOf({ parentSchema }: ErrorObject): string | undefined {
  return (parentSchema as { title?: string } | undefined)?.title;
}

/** What should stand in the place of a value of a wrong type. */
function wanted(error: ErrorObject): string {
  const type = String(error.params.type);
  // YAML 1.1 took these words for booleans, and other programs still do.
  if (type === 'boolean' && /^(yes|no|on|off|y|n)$/i.test(String(error.data))) {
    return `a boolean (write ${/^(yes|on|y)$/i.test(String(error.data)) ? 'true' : 'false'})`;
  }
  return (titleOf(error) ?? article(type)) + instead(type, error.data);
}

/** What to write for a value that is right but for its form. Only what is short and plain is repeated. */
function instead(type: string, data: unknown): string {
  if (type.split(',').includes('array') && typeof data === 'string' && /^[\w.:/*-]{1,60}$/.test(data)) {
    return ` (write [${data}])`;
  }
  if (type === 'integer' && typeof data === 'string' && /^[0-9]{1,9}$/.test(data)) {
    return ` (write ${data} without quotes)`;
  }
  return '';
}

/** The value that somebody most likely meant. */
function meant({ data, params }: ErrorObject): string {
  const values = (params.allowedValues as unknown[]).filter((value) => typeof value === 'string');
  const hint = typeof data === 'string' ? nearest(data, values) : undefined;
  return hint === undefined ? '' : `; did you mean "${hint}"?`;
}

/** RFC 6901 JSON Pointer to steps. */
function pointerSteps(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function displayName(path: Path): string {
  return path.map(String).join('.');
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

function article(type: string): string {
  const types = type.split(',');
  return types.map((t) => (t === 'null' ? t : `${/^[aeio]/.test(t) ? 'an' : 'a'} ${t}`)).join(' or ');
}
