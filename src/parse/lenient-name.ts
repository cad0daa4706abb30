/** Characters that some servers drop from a name: controls, and invisible characters. */
const DROPPED = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * The names that lenient servers may read instead of the name of a parameter or a cookie. They ignore case
 * (ASP.NET), read `.`, blanks and brackets as `_` (PHP), end the name at a NUL (PHP, servers in C), drop
 * invisible characters, or fold full-width letters to ASCII ones.
 *
 * @param name the decoded name
 * @returns one name, or two if a server that ends a name at a NUL reads another one than a server that drops
 *   it
 */
export function lenientNames(name: string): readonly string[] {
  const whole = lenient(name);
  const nul = name.indexOf('\0');
  if (nul === -1) return [whole];
  const ended = lenient(name.slice(0, nul));
  return ended === whole ? [whole] : [whole, ended];
}

function lenient(name: string): string {
  return name
    .normalize('NFKC')
    .replace(DROPPED, '')
    .trim()
    .toLowerCase()
    .replace(/[. [\]]/g, '_');
}
