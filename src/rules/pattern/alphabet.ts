/**
 * The characters that a path can have when it is matched, the most readable first: printable ASCII without
 * `#`, `?` and `\`. A canonical path has only the characters of RFC 3986's `pchar`, `/` and `%`.
 * `parse/target.ts` also looks up other readings of it in the table, which may have the rest, decoded. Proofs
 * about patterns are proofs about paths over this alphabet that begin with `/`. That `.` does not match a
 * newline, or that `\s` matches a space, makes no difference to any request.
 */
export const PATH_CHARACTERS: readonly string[] = [
  ...'abcdefghijklmnopqrstuvwxyz0123456789-_./ABCDEFGHIJKLMNOPQRSTUVWXYZ~%',
  ...'!$&\'()*+,;=:@"<>[]^`{|}',
];

/** The same characters as code units, in the same order. */
export const PATH_CODES: readonly number[] = PATH_CHARACTERS.map((character) => character.charCodeAt(0));

const known = new Set(PATH_CODES);

/** Whether a text is a path over this alphabet. */
export function isPath(text: string): boolean {
  if (!text.startsWith('/')) return false;
  for (let i = 0; i < text.length; i++) {
    if (!known.has(text.charCodeAt(i))) return false;
  }
  return true;
}
