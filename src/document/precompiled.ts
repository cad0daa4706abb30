import type { ValidateFunction } from 'ajv';

/**
 * Validators that were compiled when the program was built, by their schemas' digests. Empty here: `.ci/bundle.js` puts the
 * generated ones in this file's place, and what it does not hold is compiled at its first use.
 */
export const precompiled: ReadonlyMap<string, ValidateFunction> = new Map();
