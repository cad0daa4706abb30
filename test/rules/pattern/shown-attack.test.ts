import t from 'tap';
import { type Attack, expressionOf, requestOfAttack } from '../../../src/rules/pattern/attack.js';

const attack = (prefix: string, pump: string, suffix = '', base = 31): Attack => ({
  pumps: [{ prefix, pump }],
  suffix,
  base,
});

t.test('an attack is shown as an expression that somebody can try', (t) => {
  for (const [shown, expected] of [
    [attack('/', 'a', '!'), "'/' + 'a'.repeat(31) + '!'"],
    [attack('', '/a'), "'/a'.repeat(31)"],
    [attack("/it's", 'a'), `"/it's" + 'a'.repeat(31)`],
    [attack('/', 'a', '', 100_000), "'/' + 'a'.repeat(7996)"],
    [attack('/', 'ab', '!', 100_000), "'/' + 'ab'.repeat(3996) + '!'"],
    [attack('/', '"<>[]', '^`{|}'), "'/' + '%22%3C%3E%5B%5D'.repeat(31) + '%5E%60%7B%7C%7D'"],
    [attack('//', 'a'), "'//' + 'a'.repeat(31)"],
    [
      { pumps: [...attack('/', 'a').pumps, ...attack('-', 'b').pumps], suffix: '', base: 9_000 },
      "'/' + 'a'.repeat(3996) + '-' + 'b'.repeat(3996)",
    ],
  ] as const)
    t.equal(requestOfAttack(shown), expected);
  t.equal(expressionOf(attack('\n', '\\', 'é', 2)), '"\\n" + "\\\\".repeat(2) + "é"');
  t.equal(expressionOf(attack('', 'a"', '', 2)), `"a\\"".repeat(2)`);
  t.end();
});

t.test('an attack that no request can have as its path is not shown', (t) => {
  for (const each of [
    attack('', 'a/'),
    attack('a', '/'),
    attack('/', ' '),
    attack('/', 'é'),
    attack('/', '\n'),
    attack('/', '%'),
    attack('/', '%2e'),
    attack('/', '%61'),
    attack('/', '../'),
    attack('/a', '/.'),
    attack('/', 'a', '/..'),
    attack('/', 'a', '?b'),
    attack('/', 'a', '#'),
    attack('/', '\\'),
  ])
    t.equal(requestOfAttack(each), undefined, JSON.stringify(each));
  t.end();
});
