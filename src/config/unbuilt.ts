import type { Finding } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';

/**
 * Settings that are known but not implemented yet: using one is an error, for a gateway that silently does less than
 * its settings say guards less than its owner believes.
 */
const UNBUILT: readonly { readonly path: Path; readonly values?: readonly unknown[] }[] = [];

/** One finding for each setting in use that is not implemented. */
export function unbuilt(document: SourceDocument): Finding[] {
  return UNBUILT.flatMap(({ path, values }) => {
    const value = valueAt(document.value, path);
    if (value === undefined || (values !== undefined && !values.includes(value))) return [];
    const message = `${path.join('.')}${values === undefined ? '' : ` ${String(value)}`} is not implemented yet`;
    return [{ ...document.keyAt(path), level: 'error', code: 'not-implemented', message }];
  });
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, step) ? (value as Record<string, unknown>)[String(step)] : undefined;
  }
  return value;
}
