import fc from 'fast-check';
import t from 'tap';
import { compileOriginPattern, compilePattern } from '../../../src/rules/pattern/pattern.js';
import { relate } from '../../../src/rules/pattern/relation.js';
import { runs } from './patterns.js';

/**
 * Patterns from everything that an expression may consist of, in nesting and repetition that nobody writes by
 * hand: what made a library throw, or V8 take exponential time, was always of this kind.
 */
const hostile = fc.letrec<{ any: string }>((tie) => {
  const any = tie('any');
  const part = fc.constantFrom(
    ...[
      'a',
      'b',
      '/',
      '.',
      '[a-z]',
      '[^/]',
      '\\d',
      '\\w',
      '\\b',
      '\\B',
      '^',
      '$',
      '%2F',
      '-',
      '',
      '\\.',
      '\\A',
    ],
    ...['\\1', '\\2', '\\k<n>', '[[:alpha:]]', '\\p{L}', '\\pN', '\\Qx*\\E', '\\x41', '\\z', 'é'],
  );
  const repetition = fc.constantFrom('*', '+', '?', '*?', '{2}', '{0,3}', '{1,}', '{0}', '{0,200}', '{1000}');
  const opening = fc.constantFrom('(', '(?:', '(?=', '(?!', '(?<=', '(?<!', '(?P<n>', '(?<m>', '(?i:', '(?>');
  return {
    any: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      { arbitrary: part, weight: 3 },
      fc.tuple(any, any).map(([a, b]) => a + b),
      fc.tuple(any, any).map(([a, b]) => `${a}|${b}`),
      fc.tuple(opening, any).map(([open, inner]) => `${open}${inner})`),
      fc.tuple(any, repetition).map(([inner, times]) => inner + times),
      fc.tuple(any, repetition).map(([inner, times]) => `(${inner})${times}`),
      fc.tuple(any, fc.nat({ max: 200 })).map(([inner, deep]) => '('.repeat(deep) + inner + ')'.repeat(deep)),
      fc.tuple(any, fc.nat({ max: 60 })).map(([inner, times]) => inner.repeat(times)),
    ),
  };
}).any;

t.test('no pattern ends the process or holds it up: each is compiled, or refused in words', (t) => {
  // Analyses that search for an attack are cut short. Whether one finishes does not matter here.
  const brief = { spend() {}, gaveUp() {}, timeLeft: 100 };
  const isSlow = runs(150) > 150;
  const accept = { undecided: 'accept' } as const;
  let compiled = 0;
  let previous = /^(?:\/a)$/;
  fc.assert(
    fc.property(hostile, (source) => {
      const path = compilePattern(`/${source}`, accept, brief);
      const results = [path, compileOriginPattern(source, brief)];
      if (path.ok) {
        compiled++;
        relate(path.pattern, previous);
        previous = path.pattern;
      }
      return results.every(
        ({ ok, ...rest }) => ok || ('message' in rest && !/undefined|call stack/.test(rest.message)),
      );
    }),
    // The analysis of some patterns lasts much longer than its limit. So the patterns of the quick test are fixed.
    isSlow ? { numRuns: 600 } : { numRuns: 150, seed: 1 },
  );
  t.ok(compiled > 10, `${compiled} were compiled`);
  t.end();
});
