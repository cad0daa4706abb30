import type { AnySchema, ErrorObject } from 'ajv';
import { textOf } from '../model/json.js';
import { compile } from './compile.js';
import { type Finding, MAX_FINDINGS } from './finding.js';
import { nearest } from './nearest.js';
import type { Path, SourceDocument } from './yaml.js';

/**
 * Validates the part of a document at `base` against a JSON Schema, and gives the position of each violation.
 *
 * @param base the path of the checked part inside the document
 * @param value the value of that part (default: the one in the document)
 * @returns one finding per violation; empty if the value is valid
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
 * Whether an error says itself what to correct. `if`, `oneOf` and `anyOf` report an error of their own in
 * addition to the errors of the branch that failed, and only the latter help the author. If a required field
 * is missing because its key is mistyped, only the mistyped key is reported.
 */
function isOwnCause(error: ErrorObject, _index: number, all: readonly ErrorObject[]): boolean {
  if (error.keyword === 'if') return false;
  if (error.keyword === 'propertyNames') return !all.some(({ propertyName }) => propertyName !== undefined);
  // A limit says nothing of a value of the wrong type.
  if (error.keyword in LIMITS) {
    return !all.some(
      ({ keyword, instancePath }) => keyword === 'type' && instancePath === error.instancePath,
    );
  }
  if (error.keyword === 'required') {
    const missing = [String(error.params.missingProperty)];
    return !unknownKeys(error, all).some((key) => nearest(key, missing) !== undefined);
  }
  if (error.keyword === 'oneOf' || error.keyword === 'anyOf') {
    return !all.some((other) => other !== error && other.schemaPath.startsWith(`${error.schemaPath}/`));
  }
  return true;
}

/** The unknown keys in the mapping that an error is about. */
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
      const alone = all.some(
        (other) => other.keyword === 'required' && other.instancePath === error.instancePath,
      );
      const more = hint === undefined ? misplaced(key, alone ? [] : known) : `; did you mean "${hint}"?`;
      return {
        ...document.keyAt([...path, key]),
        level: 'error',
        code: 'unknown-field',
        message: `unknown field "${key}"${name === '' ? '' : ` in ${name}`}${more}`,
      };
    }
    case 'required': {
      const key = String(error.params.missingProperty);
      // The unknown key is probably a mistyped one, so it is a better position than the first line of the
      // mapping.
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
        message: `${name === '' ? 'the document' : name} must be ${wanted(error)}, not ${article(typeName(error.data))}`,
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
      const { propertyName } = error;
      if (propertyName !== undefined) {
        return {
          ...document.keyAt([...path, propertyName]),
          level: 'error',
          code: 'invalid-value',
          message: `${name}: ${JSON.stringify(propertyName)} must be ${titleOf(error) ?? 'another name'}`,
        };
      }
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
        message: `${name} ${LIMITS[error.keyword]?.(error.params.limit as number) ?? otherProblem(error)}`,
      };
  }
}

/** What each limit of JSON Schema requires, in words. */
const LIMITS: Readonly<Record<string, (limit: number) => string>> = {
  minItems: (limit) => (limit === 1 ? 'must not be empty' : `must have ${limit} items or more`),
  maxItems: (limit) => `must have at most ${limit} item${limit === 1 ? '' : 's'}`,
  minLength: (limit) => (limit === 1 ? 'must not be empty' : `must have ${limit} characters or more`),
  minProperties: (limit) => `must have at least ${limit} field${limit === 1 ? '' : 's'}`,
  maxProperties: (limit) => `must have at most ${limit} field${limit === 1 ? '' : 's'}`,
  minimum: (limit) => `must be ${limit} or more`,
  maximum: (limit) => `must be ${limit} or less`,
};

/** What is wrong with a value where no limit says it. */
function otherProblem({ keyword, params }: ErrorObject): string {
  if (keyword === 'uniqueItems') return 'must not contain duplicates';
  if (keyword === 'propertyNames') {
    return `has a name that is not allowed here: ${JSON.stringify(params.propertyName)}`;
  }
  if (keyword === 'dependencies') {
    return `must have the field "${String(params.missingProperty)}" beside "${params.property}"`;
  }
  return 'is not allowed here';
}

/** What to do about an unknown field that is not a mistyped one. */
function misplaced(key: string, known: readonly string[]): string {
  if (/^\/[/*]/.test(key)) return '; it looks like a comment: YAML comments begin with #, and JSON has none';
  if (known.includes('handler') && known.includes('config'))
    return '; put the fields of a handler under config';
  return '';
}

/** The `title` of a schema describes a pattern in words: `a duration such as 2s`. */
function titleOf({ parentSchema }: ErrorObject): string | undefined {
  return (parentSchema as { title?: string } | undefined)?.title;
}

/** What the author should write instead of a value of the wrong type. */
function wanted(error: ErrorObject): string {
  const type = String(error.params.type);
  // YAML 1.1 read these words as booleans, and other programs still do.
  if (type.split(',').includes('boolean') && /^(yes|no|on|off|y|n|true|false)$/i.test(textOf(error.data))) {
    return `a boolean (write ${/^(yes|on|y|true)$/i.test(textOf(error.data)) ? 'true' : 'false'})`;
  }
  return (titleOf(error) ?? article(type)) + instead(type, error.data);
}

/**
 * What to write for a value that is only in the wrong form. The value is repeated only if it is short and has
 * no special characters.
 */
function instead(type: string, data: unknown): string {
  if (type.split(',').includes('array') && typeof data === 'string' && /^[\w.:/*-]{1,60}$/.test(data)) {
    return ` (write [${data}])`;
  }
  if (type === 'integer' && typeof data === 'string' && /^[0-9]{1,9}$/.test(data)) {
    return ` (write ${data} without quotes)`;
  }
  return '';
}

/** The value that the author most likely meant. */
function meant({ data, params }: ErrorObject): string {
  const values = (params.allowedValues as unknown[]).filter((value) => typeof value === 'string');
  const hint = typeof data === 'string' ? nearest(data, values) : undefined;
  return hint === undefined ? '' : `; did you mean "${hint}"?`;
}

/** Splits a JSON Pointer (RFC 6901) into the steps of a path. */
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
