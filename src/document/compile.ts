import { hash } from 'node:crypto';
import type * as AjvPackage from 'ajv';
import type { AnySchema, Options, ValidateFunction } from 'ajv';
import { lazyRequire } from '../model/lazy-require.js';
import { precompiled } from './precompiled.js';

const ajvPackage = lazyRequire<typeof AjvPackage>('ajv');
let ajv: AjvPackage.Ajv | undefined;

/** The options for compiling schemas, both at run time and in the build. */
export const OPTIONS: Options = {
  allErrors: true,
  strict: true,
  allowUnionTypes: true,
  verbose: true,
  // Without these two options, a third of the time to load a rule set was spent on validating schemas that a
  // test has already checked, and on optimizing code that runs once.
  validateSchema: false,
  code: { optimize: false },
};

const compiled = new WeakMap<object, ValidateFunction>();

/** Returns the validator of one of scopegate's own schemas. It is compiled once. */
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

/** The key of a schema among the precompiled validators. Any change of a schema gives another key. */
export function digest(schema: object): string {
  return hash('sha256', JSON.stringify(schema), 'base64');
}
