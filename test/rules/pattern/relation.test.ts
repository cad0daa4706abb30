import t from 'tap';
import { UNLIMITED } from '../../../src/rules/budget.js';
import { automatonOf } from '../../../src/rules/pattern/automaton.js';
import { compilePattern } from '../../../src/rules/pattern/pattern.js';
import { type Relation, relate } from '../../../src/rules/pattern/relation.js';
import { wrap } from '../../../src/rules/pattern/syntax.js';
import { vectors } from '../../vectors.js';

interface Case {
  readonly a: string;
  readonly b: string;
  readonly overlap: boolean;
  readonly relation?: Relation;
  readonly note?: string;
}

const mirrored: Partial<Record<Relation, Relation>> = { 'a-in-b': 'b-in-a', 'b-in-a': 'a-in-b' };

t.test('the vectors: relation, witness, symmetry', (t) => {
  const { cases } = vectors<{ cases: Case[] }>('overlaps');
  for (const { a, b, overlap, relation, note } of cases) {
    const name = `${a} and ${b}`;
    // Not compilePattern: some of these backtrack, which says nothing about how they overlap.
    const [left, right] = [wrap(a, ''), wrap(b, '')];
    const found = relate(left, right);
    if (relation !== undefined) t.equal(found.relation, relation, name);
    else if (note === undefined)
      t.equal(found.relation !== 'disjoint', overlap, `${name}: ${found.relation}`);
    else if (overlap) t.not(found.relation, 'disjoint', name);
    else t.match(found.relation, /^(disjoint|undecided)$/, name);
    if (!overlap) t.equal(found.witness, undefined, name);
    else if (note === undefined) t.type(found.witness, 'string', name);
    if (found.witness !== undefined) {
      t.ok(left.test(found.witness) && right.test(found.witness), `${name}: ${found.witness}`);
    }
    t.equal(
      relate(right, left).relation,
      mirrored[found.relation] ?? found.relation,
      `${name}, the other way round`,
    );
  }
  t.end();
});

t.test('a witness is as short and as readable as can be', (t) => {
  const witness = (a: string, b: string) => relate(pattern(a), pattern(b)).witness;
  t.equal(witness('/.*', '/head.*'), '/head');
  t.equal(witness('/users/[^/]+', '/users/.+'), '/users/a');
  t.equal(witness('/[0-9]{3}', '/.*'), '/000');
  t.equal(witness('/x/[^a]', '/x/.'), '/x/b');
  t.end();
});

t.test('a text that is no path has none in common with any', (t) => {
  for (const text of ['abc', '/a b', '/é', '/a\\x00'])
    t.equal(relate(wrap(text, ''), wrap('[^x]*', '')).relation, 'disjoint', text);
  t.end();
});

t.test('what paths cannot hold makes no difference', (t) => {
  const relation = (a: string, b: string) => relate(pattern(a), pattern(b)).relation;
  t.equal(relation('.*', '/.*'), 'equal', 'a path begins with a slash');
  t.equal(relation('/.*', '/[^?#]*'), 'equal', 'a path holds no query and no fragment');
  t.equal(relation('/\\S*', '/.*'), 'equal', 'nor a space');
  t.equal(relation('/a(?s).b', '/a(?:.|\\n)b'), 'equal', 'nor a newline');
  t.equal(relation('/café'.replace('é', '%c3%a9'), '/caf%C3%A9'), 'equal', 'escapes have one form');
  t.equal(relation('(?i)/Admin', '/admin'), 'b-in-a');
  t.equal(relation('/api(/|$)(.*)', '/api'), 'b-in-a', '$ inside a pattern');
  t.equal(relation('/api(/|$)(.*)', '/apiary'), 'disjoint');
  t.equal(relation('/a(?:$b|c)', '/.b'), 'disjoint', 'nothing follows the end');
  t.end();
});

t.test('what no automaton decides is undecided, unless a path shows the overlap', (t) => {
  const accept = (source: string) => {
    const compiled = compilePattern(source, { undecided: 'accept' });
    if (!compiled.ok) throw new Error(compiled.message);
    t.notOk(compiled.decided, source);
    return compiled.pattern;
  };
  t.same(relate(accept('/(?!admin).*'), pattern('/admin(/.*)?')), { relation: 'undecided' });
  t.same(relate(accept('/(?!admin/).*'), pattern('/admin')), { relation: 'undecided', witness: '/admin' });
  t.same(relate(accept('/([a-z])\\1'), pattern('/[a-z]+')), { relation: 'undecided', witness: '/aa' });
  t.same(relate(accept('/x/(?!a).*'), pattern('/y/.*')), { relation: 'disjoint' }, 'they begin differently');
  t.same(
    relate(accept('/[^/]+/a/(?!x)[^/]+'), accept('/[^/]+/b/(?!x)[^/]+')),
    { relation: 'disjoint' },
    'their second segments differ',
  );
  t.end();
});

t.test('a pair whose automata grow too large is undecided, not a hang', (t) => {
  const big = (letter: string) => wrap(`/[a-z]*${letter}[a-z]{14}`, '');
  t.match(relate(big('a'), big('b')), { relation: 'undecided' });
  // Each has some thousand states; in step they have a million.
  const cycle = (length: number, end: string) => wrap(`/(?:a{${length}})*${end}`, '');
  t.match(relate(cycle(997, '[bc]'), cycle(1_009, '[de]')), { relation: 'undecided' });
  t.match(relate(cycle(97, '[bc]'), cycle(101, '[de]')), { relation: 'disjoint' });
  t.end();
});

function pattern(source: string): RegExp {
  const compiled = compilePattern(source, { undecided: 'refuse' });
  if (!compiled.ok) throw new Error(`${compiled.code}: ${compiled.message}`);
  return compiled.pattern;
}

t.test('an automaton that would take too much work is given up', (t) => {
  // Of neither are there too many states: it is the work to find them all that is too much for the second.
  const spent: number[] = [];
  const most = { ...UNLIMITED, spend: (work: number) => void spent.push(work) };
  t.ok(automatonOf('/(?:[ab]{1000}c|[ab]*ad)', '', most));
  t.equal(automatonOf('/(?:[ab]{1500}c|[ab]*ad)', '', most), undefined);
  t.ok(
    spent.every((work) => work < 4_100_000),
    `${spent}`,
  );
  t.end();
});

t.test('classes of characters that no path has add nothing', (t) => {
  for (const [a, b, relation] of [
    ['/\\s?a', '/a', 'equal'],
    ['/[\\sa]', '/[ab]', 'a-in-b'],
    ['/[^a-z]', '/[A-Z]', 'b-in-a'],
    ['/\\W', '/[a-z]', 'disjoint'],
    ['/[\\s\\S]', '/.', 'equal'],
  ] as const)
    t.equal(relate(wrap(a, ''), wrap(b, '')).relation, relation, `${a} and ${b}`);
  t.end();
});
