import t from 'tap';
import { compilePattern, describePattern } from '../../../src/rules/pattern/pattern.js';
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

t.test('an exponential pattern is shown with a path that requests can have', (t) => {
  for (const source of ['/(a+)+', '/(.*)*x', '/(.*)*/(.*)*', '/(a|a)*', '/(.*/)*x']) {
    const compiled = compilePattern(source, refuse);
    if (compiled.ok) throw new Error(`${source} is let in`);
    const [, shown = ''] = /on the path (.*); /.exec(compiled.message) ?? [];
    t.match(shown, /^'\/[!-~]*' \+ '[!-~]+'\.repeat\(\d+\)( \+ '[!-~]+')?$/, `${source}: ${shown}`);
  }
  t.end();
});

t.test('what repeats at the end and cannot fail there is no danger', (t) => {
  for (const source of ['/(.*)*', '/(.+)+', '/a/(?:.*)+']) {
    const compiled = compilePattern(source, refuse);
    if (!compiled.ok) throw new Error(compiled.message);
    // Exponential matching would not come back.
    t.ok(compiled.pattern.test(`/a/${'b'.repeat(8_000)}`), source);
    t.notOk(compiled.pattern.test(`b/${'b'.repeat(8_000)}`), source);
  }
  t.equal(compilePattern('/(\\((.*)*', refuse).ok, false, 'an escaped parenthesis opens nothing');
  t.end();
});

t.test('another thread is told of a pattern as the rule has it, so that nobody analyses it again', (t) => {
  for (const path of ['/x', '^/x\\d$', '/(?P<name>a)', '/\\Qa.b\\E']) {
    const compiled = compilePattern(path, refuse);
    t.equal(compiled.ok && describePattern(compiled.pattern).written, path);
  }
  t.end();
});
