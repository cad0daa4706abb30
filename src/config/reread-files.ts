import type { Reread, RereadFiles } from './reread.js';
import { Secret } from './secret.js';

/**
 * Finds the files of settings that are read again when they change: secrets, keys, and certificates for calls.
 *
 * @param settings the settings, or a part of them
 */
export function rereadFilesOf(settings: unknown): RereadFiles[] {
  const found = new Set<RereadFiles>();
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (value instanceof Secret) {
      if (value.files !== undefined) found.add(value.files);
    } else if (isReread(value)) found.add(value.files);
    else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value);
      for (const each of value instanceof Map ? value.values() : Object.values(value)) visit(each);
    }
  };
  visit(settings);
  return [...found];
}

function isReread(value: unknown): value is Reread<unknown> {
  return typeof value === 'function' && 'files' in value;
}
