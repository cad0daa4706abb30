import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root } from '../root.js';
import { apply, mutantsOf } from './mutate.js';
import { pick } from './pick.js';
import { compile } from './sandbox.js';

/** What becomes of a text, change by change. */
function changes(text: string): string[] {
  return mutantsOf('x.ts', text).map((mutant) => apply(text, mutant));
}

t.test('each operator makes the mutants it should, and no others', async (t) => {
  for (const [text, expected] of [
    ['if (a) b;', ['if (true) b;', 'if (false) b;']],
    ['x = a ? b : c;', ['x = !(a) ? b : c;', ';']],
    ['x = a < b;', ['x = a <= b;', ';']],
    ['while (a >= b) c;', ['while (false) c;', 'while (a > b) c;']],
    ['f(a === b);', ['f(a !== b);', ';']],
    ['f(a && b && c);', ['f(b && c);', 'f(a && c);', 'f(a && b);', ';']],
    ['f(a ?? b);', ['f(b);', 'f(a);', ';']],
    ['f(!a || b);', ['f(b);', 'f(!a);', 'f(a || b);', ';']],
    ['f(a + 1, "x" + b);', ['f(a - 1, "x" + b);', 'f(a + 2, "x" + b);', ';']],
    ['f(4_096);', ['f(0);', ';']],
    ['const a = true;', ['const a = false;']],
    ['a++;', ['a--;', ';']],
    ['const r = /^a$/i;', ['const r = /a$/i;', 'const r = /^a/i;', 'const r = /^a$/;']],
    ['const m = Math.min(a, b);', ['const m = Math.max(a, b);']],
    ['const s = a.some(b);', ['const s = a.every(b);']],
    ['const l = a.toLowerCase();', ['const l = a;']],
    [
      'const f = () => a === b;',
      ['const f = () => a !== b;', 'const f = () => true;', 'const f = () => false;'],
    ],
    ['interface A { b: 1 }', []],
    ['const a: 1 | 2 = b as 1;', []],
  ] as const) {
    t.same([...changes(text)].sort(), [...expected].sort(), text);
  }
});

t.test('a mutant has a name of its own, which does not change when lines move', async (t) => {
  const text = 'function f() { g(1); g(1); }';
  const ids = mutantsOf('x.ts', text).map(({ id }) => id);
  t.equal(new Set(ids).size, ids.length);
  t.ok(ids.includes('x.ts f: g(1); → nothing') && ids.includes('x.ts f: g(1); → nothing #2'), ids.join('\n'));
  t.same(
    mutantsOf('x.ts', `\n\nconst h = a;\n${text}`).map(({ id }) => id),
    ids,
  );
});

t.test('there are enough mutants, and those of the sample are programs', async (t) => {
  t.ok(pick().reduce((sum, { mutants }) => sum + mutants.length, 0) >= 200);
  for (const { file, text, mutants } of pick(true)) {
    for (const mutant of mutants) t.not(compile(apply(text, mutant)), compile(text), `${file}: ${mutant.id}`);
  }
});

t.test('the sources that are tried are there, and so are their tests', async (t) => {
  for (const { file, tests } of pick()) {
    t.ok(readFileSync(join(root, 'src', file)).length > 0);
    for (const test of tests) t.ok(readFileSync(join(root, 'test', `${test}.test.ts`)).length > 0, test);
  }
});
