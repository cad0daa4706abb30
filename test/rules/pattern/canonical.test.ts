import t from 'tap';
import { UNLIMITED } from '../../../src/rules/budget.js';
import { canonicalForm, isNeverCanonical } from '../../../src/rules/pattern/canonical.js';
import { wrap } from '../../../src/rules/pattern/syntax.js';

t.test('a pattern of paths that are made canonical before they are matched is known', (t) => {
  for (const [path, never] of [
    ['/a', false],
    ['/a/', false],
    ['/', false],
    ['/a%2Fb', false],
    ['/[a-z]+', false],
    ['/.*', false],
    ['/(a|/b)', false],
    ['/a/(\\.\\./)?b', false],
    ['/a//b', true],
    ['//a', true],
    ['/a/\\./b', true],
    ['/a/\\.\\./b', true],
    ['/a/\\.\\.', true],
    ['/a%2', true],
    ['/a%2f', true],
    ['/%41', true],
    ['/[a-z]+//[a-z]+', true],
    ['/[a-z]+/\\.\\./[a-z]+', true],
  ] as const)
    t.equal(isNeverCanonical(wrap(path, ''), UNLIMITED), never, path);
  t.end();
});

t.test('a literal path is told in its canonical form', (t) => {
  for (const [path, form] of [
    ['/a', '/a'],
    ['/a/b', '/a/b'],
    ['/a//b', '/a/b'],
    ['/a/\\./b', '/a/b'],
    ['/a/\\.\\./b', '/b'],
    ['/%41', '/A'],
    ['/a%2fb', '/a%2Fb'],
    ['/x\\.y//z', '/x\\.y/z'],
    ['/[a-z]+//b', undefined],
    ['/%zz', undefined],
  ] as const)
    t.equal(canonicalForm(wrap(path, '')), form, path);
  t.end();
});
