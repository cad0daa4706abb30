/**
 * Where the published program keeps the packages that `lazyRequire` loads: package name → path of the file,
 * relative to the program's folder. Empty in a checkout, where node_modules has the packages; `.ci/bundle.js`
 * replaces this file with one that holds the list.
 */
export const bundledPackages: ReadonlyMap<string, string> = new Map();
