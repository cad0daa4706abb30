import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './root.js';

/**
 * Reads a file of test vectors: the cases that any implementation of the design must get right. They are kept beside
 * the checkout, in `shared/vectors/`, so that no change of the code can change them along with it.
 *
 * @param name of the file, without `.json`
 * @throws where the file is absent: cases that were not run must not look as if they had passed
 */
export function vectors<T extends { readonly cases: readonly unknown[] }>(name: string): T {
  const file = join(root, '..', 'shared', 'vectors', `${name}.json`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`the test vectors ${file} are missing`, { cause });
  }
  const read = JSON.parse(text) as T;
  if (!Array.isArray(read.cases) || read.cases.length === 0) throw new Error(`${file} holds no cases`);
  return read;
}
