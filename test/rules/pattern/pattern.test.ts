import t from 'tap';
import { compilePattern } from '../../../src/rules/pattern/pattern.js';
import { vectors } from '../../vectors.js';

interface Case {
  readonly pattern: string;
  readonly safe: boolean;
  readonly complexity?: string;
}

const refuse = { undecided: 'refuse' } as const;

t.test('the vectors: a pattern is let in if and only if it matches in linear time', (t) => {
  const { cases } = vectors<{ cases: Case[] }>('redos');
  for (const { pattern, safe } of cases) {
    const compiled = compilePattern(pattern, refuse);
    t.equal(compiled.ok, safe, pattern);
    if (!compiled.ok) {
      t.equal(compiled.code, 'pattern-backtracking', pattern);
      t.match(compiled.message, /time: .* on the path .*repeat\(\d+\)/s, pattern);
    }
  }
  t.end();
});
