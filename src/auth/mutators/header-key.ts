import { fieldKey } from '../../parse/field-names.js';

/** A header field's name as upstreams may read it: the same for every spelling that one of them takes for the same. */
export function headerKey(name: string): string {
  return fieldKey(name.toLowerCase());
}
