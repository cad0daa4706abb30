/** Slashes and backslashes that Unicode does not fold to the ASCII ones, but people and some parsers do. */
const SLASHES = /[\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9]/u;
/** Controls, format characters (zero-width, directional), separators, noncharacters. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Noncharacter_Code_Point}]/u;
const DELIMITERS = /[./\\%;?#]/;

/**
 * Whether a non-ASCII character imitates a delimiter of a path (full-width solidus, one dot leader …) or cannot be
 * seen (zero-width space, soft hyphen, line separator …): an upstream that normalises or strips it would see
 * another path than the one that was matched.
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
