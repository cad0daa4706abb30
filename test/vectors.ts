import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.js';

/**
 * Reads a file of test vectors: what any implementation must get right, whatever its code looks like.
 * `test/vectors/README.md` says what each file holds.
 *
 * @param name of the file, without `.json`
 * @throws where the file is absent or holds no case: cases that were not run must not look as if they had passed
 */
export function vectors<T extends { readonly cases: readonly unknown[] }>(name: string): T {
  const file = join(root, 'test/vectors', `${name}.json`);
  const read = JSON.parse(readFileSync(file, 'utf8')) as T;
  if (!Array.isArray(read.cases) || read.cases.length === 0) throw new Error(`${file} holds no cases`);
  return read;
}
