/**
 * Slashes and backslashes that NFKC does not fold to the ASCII ones, but that people and some parsers read as
 * these.
 */
const SLASHES = /[\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9]/u;
/**
 * Invisible characters: controls, format characters (zero-width, directional), separators, noncharacters, and all
 * that Unicode tells software to ignore where it cannot show them (fillers, variation selectors; UAX #44).
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Noncharacter_Code_Point}\p{Default_Ignorable_Code_Point}]/u;
const DELIMITERS = /[./\\%;?#]/;

/**
 * Whether a non-ASCII character looks like a delimiter of a path (full-width solidus, one dot leader …) or is
 * invisible (zero-width space, soft hyphen, line separator …). An upstream that normalises or strips such a
 * character would see another path than the one that the rule matched.
 *
 * @param character one character outside ASCII
 */
export function confusableWith(character: string): boolean {
  const folded = character.normalize('NFKC');
  return (
    SLASHES.test(character) ||
    SLASHES.test(folded) ||
    UNSEEN.test(character) ||
    DELIMITERS.test(folded) ||
    folded.includes(' ')
  );
}
