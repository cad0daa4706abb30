import t from 'tap';
import { buildTable } from '../../../src/rules/table/table.js';
import { rule } from './rule.js';

const inside = (rules: ReturnType<typeof rule>[]) =>
  buildTable(rules, { overlap: 'specific', version: 1 }).table?.overlaps?.inside;

t.test('each rule is told with the rules directly around it', (t) => {
  const rules = [
    rule({ id: 'a/a#0', path: '/.*' }),
    rule({ id: 'a/a#1', path: '/x/.*' }),
    rule({ id: 'a/a#2', path: '/x/y' }),
    rule({ id: 'a/a#3', path: '/z' }),
    rule({ id: 'a/a#4', path: '/.*', methods: ['POST'] }),
  ];
  const expected = [
    ['a/a#1', 'a/a#0'],
    ['a/a#2', 'a/a#1'],
    ['a/a#3', 'a/a#0'],
  ];
  t.same(inside(rules), expected);
  t.same(inside([...rules].reverse()), expected, 'in any order of the rules');
  t.end();
});

t.test('a rule of a host lies inside one of all its neighbours', (t) => {
  t.same(
    inside([
      rule({ id: 'a/a#0', path: '/x', hosts: ['*.example'] }),
      rule({ id: 'a/a#1', path: '/x', hosts: ['a.example'] }),
    ]),
    [['a/a#1', 'a/a#0']],
  );
  t.end();
});

t.test('rules that share nothing lie inside none', (t) => {
  t.same(inside([rule({ path: '/a' }), rule({ path: '/b' })]), []);
  t.end();
});

t.test('a chain with too many pairs is not told, and is decided all the same', (t) => {
  // Each catch-all of one more segment lies inside all before it.
  const chain = Array.from({ length: 460 }, (_, i) => rule({ id: `a/a#${i}`, path: `${'/a'.repeat(i)}/.*` }));
  const { table, findings } = buildTable(chain, { overlap: 'specific', version: 1 });
  t.same(findings, []);
  t.equal(table?.overlaps?.inside, undefined);
  t.equal(table?.overlaps?.specific.length, 459);
  t.end();
});
