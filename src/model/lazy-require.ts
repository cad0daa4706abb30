import { createRequire } from 'node:module';
import { bundledPackages } from './bundled-packages.js';

const load = createRequire(import.meta.url);

/** A package that belongs to the program is missing: the installation is damaged or incomplete. */
export class MissingPackageError extends Error {
  constructor(name: string) {
    const [scope = '', rest] = name.split('/');
    const shown = scope.startsWith('@') ? `${scope}/${rest}` : scope;
    super(`the package "${shown}" is missing: install scopegate again, or run "npm ci" in a checkout`);
    this.name = 'MissingPackageError';
  }
}

/**
 * Loads a package that most gateways never need. It is read at the first use, which is when rules are loaded
 * or a feature starts, never in a request. It is synchronous because its callers (analysis and compilers)
 * are.
 *
 * @param name a CommonJS package, as `require` takes it
 * @returns a function that returns the package; it throws {@link MissingPackageError} if the package is
 *   missing
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
