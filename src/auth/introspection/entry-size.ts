/** What an entry takes besides its claims: its key, its place in the cache, its times, lists of scopes and audiences. */
const ENTRY = 304;
const OBJECT = 32;
const PLACE = 8;
const NUMBER = 16;
const TEXT = 20;

/**
 * About how much memory a cached answer takes, in bytes: what V8 needs for such values on 64 bits, so that a limit in
 * bytes holds for answers of any size. `npm run bench -- --only cache` prints it beside what was measured.
 *
 * @param claims as `JSON.parse` made them
 */
export function entrySize(claims: Readonly<Record<string, unknown>>): number {
  let bytes = ENTRY;
  // Nobody says how deep an answer nests.
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

/** A text with a character beyond Latin-1 has two bytes for each. */
const WIDE = /[^\0-\xff]/;
