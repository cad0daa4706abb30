import { hash } from 'node:crypto';
import type * as AjvPackage from 'ajv';
import type { AnySchema, Options, ValidateFunction } from 'ajv';
import { lazyRequire } from '../model/lazy-require.js';
import { precompiled } from './precompiled.js';

const ajvPackage = lazyRequire<typeof AjvPackage>('ajv');
let ajv: AjvPackage.Ajv | undefined;

/** How schemas are compiled, here and when the program is built. */
export const OPTIONS: Options = {
  allErrors: true,
  strict: true,
  allowUnionTypes: true,
  verbose: true,
  // A third of the time a rule set takes to load went into schemas that a test has checked, and into code that runs once.
  validateSchema: false,
  code: { optimize: false },
};

const compiled = new WeakMap<object, ValidateFunction>();

/** The validator of a schema of this program's own, compiled once. */
export function compile(schema: AnySchema & object): ValidateFunction {
  let check = compiled.get(schema);
  if (check === undefined) {
    check = precompiled.get(digest(schema));
    if (check === undefined) {
      ajv ??= new (ajvPackage().Ajv)(OPTIONS);
      check = ajv.compile(schema);
    }
    compiled.set(schema, check);
  }
  return check;
}

/** What a schema is known by where it was compiled beforehand: one that is not the very same is another. */
export function digest(schema: object): string {
  return hash('sha256', JSON.stringify(schema), 'base64');
}
