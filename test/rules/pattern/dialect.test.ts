import fc from 'fast-check';
import t from 'tap';
import { PATH_CHARACTERS } from '../../../src/rules/pattern/alphabet.js';
import { compilePattern } from '../../../src/rules/pattern/pattern.js';
import { shapeOf } from '../../../src/rules/pattern/syntax.js';
import { runs } from './patterns.js';

const refuse = { undecided: 'refuse' } as const;

t.test('what means the same for every path is carried over', (t) => {
  const carried: [pattern: string, matches: string[], others: string[]][] = [
    ['^/foo$', ['/foo'], ['/foo/']],
    ['\\A/foo\\z', ['/foo'], ['/fooz', 'A/foo']],
    ['/foo\\Z', ['/foo'], ['/fooZ']],
    ['(^/a$|^/b$)', ['/a', '/b'], ['/a/b']],
    ['/api(/|$)(.*)', ['/api', '/api/', '/api/x'], ['/apix']],
    ['/\\Qa.b*\\E.*', ['/a.b*', '/a.b*c'], ['/axb*', '/a.bb']],
    ['/\\Q(', ['/('], ['/']],
    ['(?i)/Admin', ['/admin', '/ADMIN'], ['/admin/']],
    ['(?s)/a.b', ['/a.b', '/a/b'], ['/ab']],
    ['(?m)^/a$', ['/a'], ['/b']],
    ['/(?s:a.)b', ['/axb'], ['/ab']],
    ['/(?P<year>\\d+)/x', ['/2026/x'], ['//x']],
    ["/(?'id'\\d+)", ['/1'], ['/a']],
    ['/[[:alpha:]_]+', ['/aZ_'], ['/a1', '/:']],
    ['/[[:^digit:]]', ['/a', '/-'], ['/1']],
    ['/[[:xdigit:]]{2}', ['/aF'], ['/ag']],
    ['/\\pL+', ['/aZ'], ['/1', '/p1']],
    ['/\\p{Lu}\\P{Lu}', ['/Aa'], ['/aA']],
    ['/\\p{^L}', ['/1'], ['/a']],
    ['/[\\p{Lu}\\d]', ['/A', '/1'], ['/a']],
    ['/[^\\pN]', ['/a'], ['/1']],
    ['/a\\x{2f}b', ['/a/b'], ['/ab']],
    ['/\\x41\\u0042', ['/AB'], ['/x']],
    ['/caf%c3%a9', ['/caf%C3%A9'], ['/caf%c3%a9']],
    ['/%7euser/%2e', ['/~user/.'], ['/~user/x']],
    ['/a-b_c~d', ['/a-b_c~d'], []],
    ['/[\\w.~-]+', ['/a.b-c~d'], ['/a/b']],
    ['/a+?b', ['/aab'], ['/b']],
  ];
  for (const [source, matches, others] of carried) {
    const compiled = compilePattern(source, refuse);
    if (!compiled.ok) {
      t.fail(`${source}: ${compiled.message}`);
      continue;
    }
    t.equal(compiled.source, source);
    for (const path of matches) t.match(path, compiled.pattern, `${source} matches ${path}`);
    for (const path of others) t.notMatch(path, compiled.pattern, `${source} does not match ${path}`);
  }
  t.end();
});

t.test('what does not is refused by its name', (t) => {
  const refused: [pattern: string, code: string, construct: string][] = [
    ['/a++', 'pattern-dialect', 'possessive quantifier at character 3'],
    ['/a{2}+', 'pattern-dialect', 'possessive quantifier at character 3'],
    ['/(?>a|ab)c', 'pattern-dialect', 'atomic group'],
    ['/x(?i)y', 'pattern-dialect', 'flag (?i) after the start of the pattern at character 3'],
    ['/(?i:x)y', 'pattern-dialect', 'flag (?i:…) for a part'],
    ['(?i)/a(?-i)b', 'pattern-dialect', 'flag (?-i)'],
    ['(?U)/a+', 'pattern-dialect', 'ungreedy flag'],
    ['(?x)/a b', 'pattern-dialect', 'free-spacing flag'],
    ['/[[:foo:]]', 'pattern-dialect', 'POSIX class'],
    ['/[[=a=]]', 'pattern-dialect', 'POSIX class'],
    ['/\\p{Nope}', 'pattern-dialect', 'Unicode class \\p{Nope}'],
    ['/a\\012', 'pattern-dialect', 'octal escape'],
    ['/a\\1', 'pattern-dialect', 'octal escape \\1'],
    ['/[\\1]', 'pattern-dialect', 'octal escape \\1'],
    ['/[]a]', 'pattern-dialect', '] as the first character of a class'],
    ['/[^]', 'pattern-dialect', '] as the first character of a class'],
    ['/[a-z-[aeiou]]', 'pattern-dialect', 'class subtraction'],
    ['/[a&&b]', 'pattern-dialect', 'class intersection'],
    ['/{id}', 'pattern-dialect', 'brace that is not a repetition'],
    ['/a{,3}', 'pattern-dialect', 'repetition {,n}'],
    ['/a(?#c)', 'pattern-dialect', 'comment'],
    ['/a\\hb', 'pattern-dialect', 'horizontal space \\h'],
    ['/a\\Kb', 'pattern-dialect', 'reset \\K'],
    ['/a\\yb', 'pattern-dialect', 'escape \\y'],
    ['/(?|a)', 'pattern-dialect', 'branch reset'],
    ['/(?(1)a)', 'pattern-dialect', 'conditional'],
    ['/(*FAIL)', 'pattern-dialect', 'verb'],
    ['/(?P<a>x)(?P=a)', 'pattern-dialect', 'backreference (?P=…)'],
    ['/\\k<a>', 'pattern-dialect', 'escape \\k'],
    ['/café', 'pattern-dialect', 'write %C3%A9'],
    ['/[à-ü]', 'pattern-dialect', 'non-ASCII character at character 3'],
    ['/\\xe9', 'pattern-dialect', 'non-ASCII character'],
    ['/(^|x)/a^', 'pattern-dialect', '^ at character'],
    ['/(a', 'bad-pattern', 'a parenthesis is not closed'],
    ['/a)', 'bad-pattern', 'a ) has no matching ('],
    ['/**', 'bad-pattern', 'has nothing before it to repeat'],
    ['/[z-a]', 'bad-pattern', 'ends before it begins'],
    ['/a[b', 'bad-pattern', 'class without its closing ] at character 3'],
    ['/a\\', 'bad-pattern', 'trailing backslash at character 3'],
    ['/\\d{1000000}', 'pattern-too-large', '4000'],
    ['/((a{100}){100}){100}', 'pattern-too-large', '4000'],
    [`/${'('.repeat(201)}a${')'.repeat(201)}`, 'pattern-too-large', 'nest'],
    [`/${'a'.repeat(5_000)}`, 'pattern-too-large', '4096'],
    ['/a(?=b).*', 'pattern-undecided', 'lookahead (?=b)'],
    ['/(?!admin).*', 'pattern-undecided', 'negative lookahead (?!admin)'],
    ['/.*(?<=a)', 'pattern-undecided', 'lookbehind (?<=a)'],
    ['/([a-z])\\1', 'pattern-undecided', 'backreference \\1'],
    [
      '/(a\\1)',
      'pattern-dialect',
      'backreference \\1 at character 4 may refer to a group that has not matched',
    ],
    ['/((\\1))*', 'pattern-dialect', 'backreference \\1 at character 4'],
    ['/(\\2a)(\\1b)', 'pattern-dialect', 'backreference \\2 at character 3'],
    ['/(a)|/\\1', 'pattern-dialect', 'backreference \\1 at character 7'],
    ['/(a)?\\1', 'pattern-dialect', 'backreference \\1 at character 6'],
    ['/(?!(a))\\1', 'pattern-dialect', 'backreference \\1 at character 9'],
    ['/(?:(a)|b)\\1', 'pattern-dialect', 'backreference \\1 at character 11'],
    // The parser takes twice as long for each parenthesis around a name that it has met before.
    [
      `/${'('.repeat(40)}(?<n>a)(?P<n>b)${')'.repeat(40)}`,
      'bad-pattern',
      'second group with the name n at character 49',
    ],
    // V8 takes twice as long for each word boundary after another one.
    ['/(?:\\b){40}', 'pattern-too-large', 'more than 8 word boundaries'],
    ['/(?:\\b\\B)(?:\\B){0,3}(?=(?:\\b)(?:\\b))(?:\\b)(?:\\b)', 'pattern-too-large', 'word boundaries'],
    ['/(?:\\b){8}', 'pattern-undecided', 'word boundary'],
    // The library that analyses it runs out of stack.
    [`/${'('.repeat(199)}a*a*${')'.repeat(199)}`, 'pattern-backtracking', ''],
    ['/(?:(a)\\1|b)+', 'pattern-undecided', 'backreference \\1'],
    ['/(a|b)+\\1', 'pattern-undecided', 'backreference \\1'],
    ['/\\bfoo', 'pattern-undecided', 'word boundary \\b'],
  ];
  for (const [source, code, construct] of refused) {
    const compiled = compilePattern(source, refuse);
    t.equal(compiled.ok ? 'ok' : compiled.code, code, source);
    if (!compiled.ok) t.ok(compiled.message.includes(construct), `${construct}: ${compiled.message}`);
  }
  t.end();
});

t.test('undecidedPattern: accept lets in what cannot be proved, and nothing else', (t) => {
  const accept = { undecided: 'accept' } as const;
  t.match(compilePattern('/(?!admin).*', accept), { ok: true, decided: false });
  t.match(compilePattern('/users', accept), { ok: true, decided: true });
  t.match(compilePattern('/(?!admin)(a+)+', accept), { ok: false, code: 'pattern-backtracking' });
  t.match(compilePattern('/a++', accept), { ok: false, code: 'pattern-dialect' });
  t.match(
    compilePattern('/(?!admin).*', refuse),
    { ok: false, code: 'pattern-undecided' },
    'whatever came before',
  );
  t.end();
});

t.test('quoted text is itself, and any text is compiled or refused, never thrown at', (t) => {
  const text = fc.string({ unit: fc.constantFrom(...PATH_CHARACTERS), maxLength: 20 });
  fc.assert(
    fc.property(text, (path) => {
      fc.pre(!path.includes('%'));
      const compiled = compilePattern(`/\\Q${path}\\E`, refuse);
      return compiled.ok && compiled.pattern.test(`/${path}`) && !compiled.pattern.test(`/${path}x`);
    }),
  );
  const noise = fc.string({
    unit: fc.constantFrom(...'\\(){}[]|^$?:<>!=*+.,-/aAbzQEpPxk1%é&'),
    maxLength: 12,
  });
  fc.assert(
    fc.property(noise, (source) => {
      const compiled = compilePattern(source, refuse);
      return compiled.ok || (compiled.code !== '' && compiled.message !== '');
    }),
    { numRuns: runs(500) },
  );
  t.pass();
  t.end();
});

t.test('^ and $ around a pattern, or around each alternative, change nothing', (t) => {
  const made = (path: string): unknown => {
    const compiled = compilePattern(path, refuse);
    return compiled.ok ? [compiled.pattern.source, shapeOf(compiled.pattern)] : compiled.message;
  };
  for (const [path, same] of [
    ['^/x$', '/x'],
    ['^/x', '/x'],
    ['/x$', '/x'],
    ['^/a$|^/b$', '/a|/b'],
    ['(^/a|^/b)$', '(/a|/b)'],
    ['^^/x$$', '/x'],
  ] as const)
    t.same(made(path), made(same), path);
  t.end();
});

t.test('parentheses beside each other may be many, if they are not in each other', (t) => {
  t.match(compilePattern(`/${'(a)'.repeat(300)}`, refuse), { ok: true });
  t.match(compilePattern(`/${'('.repeat(201)}a${')'.repeat(201)}`, refuse), { code: 'pattern-too-large' });
  t.end();
});
