/**
 * Memory of an entry besides its claims, in bytes: its key, its place in the cache, its times, and lists of
 * scopes and audiences.
 */
const ENTRY = 304;
const OBJECT = 32;
const PLACE = 8;
const NUMBER = 16;
const TEXT = 20;

/**
 * Estimates how much memory a cached answer takes, in bytes: what V8 needs for such values on 64-bit
 * machines. So a limit in bytes holds for answers of any size. `npm run bench -- --only cache` prints the
 * estimate beside a measurement.
 *
 * @param claims as `JSON.parse` returned them
 */
export function entrySize(claims: Readonly<Record<string, unknown>>): number {
  let bytes = ENTRY;
  // A loop instead of recursion, because an answer may nest deeply.
  const left: unknown[] = [claims];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') bytes += TEXT + value.length * (WIDE.test(value) ? 2 : 1);
    else if (typeof value === 'number') bytes += NUMBER;
    else if (typeof value === 'object' && value !== null) {
      const inside = Object.values(value);
      bytes += OBJECT + PLACE * inside.length;
      for (const each of inside) left.push(each);
    }
  }
  return bytes;
}

/** V8 stores a text with any character beyond Latin-1 in two bytes per character. */
const WIDE = /[^\0-\xff]/;
