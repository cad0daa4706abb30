import fc from 'fast-check';

/**
 * Path patterns of the regular fragment over a few characters, so that short strings tell them apart, as the source
 * of a regular expression. They may backtrack and may match nothing.
 */
export const patterns: fc.Arbitrary<string> = fc
  .letrec<{ piece: string; sequence: string; choice: string }>((tie) => ({
    piece: fc.oneof(
      { maxDepth: 2, depthIdentifier: 'pattern' },
      { arbitrary: fc.constantFrom('a', 'b', '0', '/', 'ab', '/a', '\\.'), weight: 6 },
      { arbitrary: fc.constantFrom('.', '[^/]', '[ab]', '[^a]', '\\d', '\\w', '\\D'), weight: 4 },
      { arbitrary: tie('choice').map((inner) => `(?:${inner})`), weight: 2 },
      {
        arbitrary: fc
          .tuple(
            fc.oneof(
              fc.constantFrom('a', 'b', '/', '.', '[^/]', '[ab]', '\\d', '\\w'),
              tie('choice').map((inner) => `(${inner})`),
            ),
            fc.constantFrom('*', '+', '?', '*?', '{2}', '{1,2}', '{2,}', '{0,3}'),
          )
          .map(([inner, quantifier]) => inner + quantifier),
        weight: 5,
      },
    ),
    sequence: fc.array(tie('piece'), { maxLength: 3, size: 'max' }).map((pieces) => pieces.join('')),
    choice: fc.array(tie('sequence'), { minLength: 1, maxLength: 2 }).map((all) => all.join('|')),
  }))
  .choice.map((choice) => (choice.includes('|') ? `/(?:${choice})` : `/${choice}`));

/** All paths of up to five characters over a small alphabet that the patterns' classes tell apart. */
export const shortPaths: readonly string[] = (() => {
  const all = ['/'];
  for (let from = 0, length = 2; length <= 5; length++) {
    const to = all.length;
    for (; from < to; from++) for (const char of 'ab0/.') all.push(`${all[from]}${char}`);
  }
  return all;
})();

/**
 * How often a law is tried: a few thousand times among the other tests, as often as `TEST_SLOW` says in the
 * slow check.
 */
export function runs(usual: number): number {
  const slow = Number(process.env.TEST_SLOW ?? 0);
  return slow > 0 ? Math.max(20_000, slow) : usual;
}
