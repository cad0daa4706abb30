import type { ValidateFunction } from 'ajv';

/**
 * Validators that were compiled when scopegate was built, by the digests of their schemas. The map is empty
 * here: `.ci/bundle.js` replaces this file with the generated validators. A schema that is not in the map is
 * compiled at its first use.
 */
export const precompiled: ReadonlyMap<string, ValidateFunction> = new Map();
