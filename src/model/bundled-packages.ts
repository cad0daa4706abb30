/**
 * Where the published program keeps the packages that `lazyRequire` loads: a file's path from the program's folder, by
 * the package's name. Empty here, where node_modules has them: `.ci/bundle.js` puts the list in this file's place.
 */
export const bundledPackages: ReadonlyMap<string, string> = new Map();
