import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/**
 * A package that most gateways never need: it is read when something first asks for it, while rules are loaded or a
 * feature is switched on, and not by a request. Synchronous, because proofs and compilers are.
 *
 * @param name as `require` takes it; a CommonJS package among the dependencies
 * @returns gives the package
 */
export function lazyRequire<T>(name: string): () => T {
  let loaded: T | undefined;
  return () => {
    loaded ??= load(name) as T;
    return loaded;
  };
}
