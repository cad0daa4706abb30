import { createRequire } from 'node:module';
import { bundledPackages } from './bundled-packages.js';

const load = createRequire(import.meta.url);

/** A package that the program comes with is not there: the installation is damaged, or was made without it. */
export class MissingPackageError extends Error {
  constructor(name: string) {
    const [scope = '', rest] = name.split('/');
    const shown = scope.startsWith('@') ? `${scope}/${rest}` : scope;
    super(`the package "${shown}" is missing: install scopegate again, or run "npm ci" in a checkout`);
    this.name = 'MissingPackageError';
  }
}

/**
 * A package that most gateways never need: it is read when something first asks for it, while rules are loaded or a
 * feature is switched on, and not by a request. Synchronous, because proofs and compilers are.
 *
 * @param name as `require` takes it; a CommonJS package
 * @returns gives the package; throws {@link MissingPackageError} where it is not there
 */
export function lazyRequire<T>(name: string): () => T {
  let loaded: T | undefined;
  return () => {
    loaded ??= loadPackage(name) as T;
    return loaded;
  };
}

function loadPackage(name: string): unknown {
  try {
    return load(bundledPackages.get(name) ?? name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') throw new MissingPackageError(name);
    throw error;
  }
}
