import { lowerName } from '../parse/field-names.js';

/**
 * Collects header fields by their names in lower case, as Fastify takes them. A field that occurs several times
 * gets a list of values.
 *
 * @param fields name, value, name, value …
 */
export function fieldRecord(fields: readonly string[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = lowerName(fields[i] as string);
    const value = fields[i + 1] as string;
    const before = record[name];
    record[name] = before === undefined ? value : [...[before].flat(), value];
  }
  return record;
}
