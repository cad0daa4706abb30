import fc from 'fast-check';
import t from 'tap';
import { formatFinding } from '../../../src/document/finding.js';
import { isProvablyLinear } from '../../../src/rules/pattern/ambiguity.js';
import { type Relation, relate } from '../../../src/rules/pattern/relation.js';
import { parse, wrap } from '../../../src/rules/pattern/syntax.js';
import { buildTable } from '../../../src/rules/table/table.js';
import { countSteps } from '../pattern/backtracker.js';
import { patterns, runs, shortPaths } from '../pattern/patterns.js';
import { ruleOf } from './rule.js';

const mirrored: Partial<Record<Relation, Relation>> = { 'a-in-b': 'b-in-a', 'b-in-a': 'a-in-b' };

t.test('a relation is symmetric, and survives all short paths', (t) => {
  const seen: Partial<Record<Relation, number>> = {};
  const numRuns = runs(700);
  fc.assert(
    fc.property(patterns, patterns, (left, right) => {
      const [a, b] = [wrap(left, ''), wrap(right, '')];
      const { relation, witness } = relate(a, b);
      const turned = relate(b, a);
      seen[relation] = (seen[relation] ?? 0) + 1;
      let shared: string | undefined;
      let onlyA: string | undefined;
      let onlyB: string | undefined;
      for (const path of shortPaths) {
        const [inA, inB] = [a.test(path), b.test(path)];
        if (inA && inB) shared ??= path;
        else if (inA) onlyA ??= path;
        else if (inB) onlyB ??= path;
      }
      const wrong = [
        turned.relation !== (mirrored[relation] ?? relation) && 'not symmetric',
        turned.witness?.length !== witness?.length && 'another witness the other way round',
        relation === 'undecided' && 'not decided',
        relation === 'disjoint'
          ? shared !== undefined && `${shared} is in both`
          : witness === undefined && 'no witness',
        witness !== undefined && !(a.test(witness) && b.test(witness)) && `${witness} is no witness`,
        shared !== undefined &&
          witness !== undefined &&
          shared.length < witness.length &&
          `${shared} is shorter`,
        /^(a-in-b|equal)$/.test(relation) && onlyA !== undefined && `${onlyA} is in a alone`,
        /^(b-in-a|equal)$/.test(relation) && onlyB !== undefined && `${onlyB} is in b alone`,
      ].filter((problem) => typeof problem === 'string');
      if (wrong.length > 0) throw new Error(`${relation} ${witness}: ${wrong.join(', ')}`);
    }),
    { numRuns },
  );
  t.pass(`${numRuns} pairs: ${JSON.stringify(seen)}`);
  t.end();
});

t.test(
  'what is called linear is: a backtracking engine takes a bounded number of steps for a character',
  (t) => {
    const length = 200;
    let proved = 0;
    const numRuns = runs(400);
    const pumps = ['a', 'b', '0', '/', 'ab', 'a/', '/a', '0a', '.'];
    fc.assert(
      fc.property(
        patterns,
        fc.constantFrom('', '/', '/a', '/ab'),
        fc.constantFrom('', '!', '/', 'b'),
        (source, prefix, suffix) => {
          if (!isProvablyLinear(parse(source), false)) return;
          proved++;
          for (const pump of pumps) {
            const text = prefix + pump.repeat(length / pump.length) + suffix;
            // 32 ways at most, and one that ends where everything matches.
            const bound = 33 * (text.length + 1);
            const steps = countSteps(source, text, bound + 1);
            if (steps > bound) throw new Error(`more than ${bound} steps on ${text}`);
          }
        },
      ),
      { numRuns },
    );
    t.pass(`${numRuns} patterns, ${proved} proved linear`);
    t.ok(proved > numRuns / 2, 'most patterns need no further analysis');
    t.end();
  },
);

const hosts = fc.subarray(
  ['a.example.com', 'b.example.com', '*.example.com', 'x.y.example.com', '*.y.example.com'],
  {
    minLength: 1,
  },
);
const ruleSets = fc.array(
  fc.record({ path: patterns, hosts, methods: fc.subarray(['GET', 'POST'], { minLength: 1 }) }),
  { minLength: 2, maxLength: 5 },
);
const asked = ['a.example.com', 'b.example.com', 'x.y.example.com', 'c.example.com', 'example.com'];
const somePaths = shortPaths.filter((path) => path.length <= 3);

t.test(
  'order decides nothing: the answer is the one rule proved to lie inside all others that match',
  (t) => {
    const numRuns = runs(500);
    let tables = 0;
    fc.assert(
      fc.property(ruleSets, fc.constantFrom('error', 'specific'), fc.integer(), (set, overlap, seed) => {
        const rules = set.map((parts, i) =>
          ruleOf({ ...parts, id: `law/rules#${i}`, source: `law.yaml:${i + 1}:1` }),
        );
        const shuffled = rules.toSorted((a, b) => hash(a.id + seed) - hash(b.id + seed));
        const built = buildTable(rules, { overlap, version: 1 });
        const again = buildTable(shuffled, { overlap, version: 1 });
        const printed = built.findings.map(formatFinding).join('\n');
        if (again.findings.map(formatFinding).join('\n') !== printed)
          throw new Error(`other findings:\n${printed}`);
        if (built.table === undefined || again.table === undefined) return;
        tables++;
        for (const host of asked) {
          for (const method of ['GET', 'POST']) {
            for (const path of somePaths) {
              const found = built.table.find(host, method, path);
              if (found !== again.table.find(host, method, path))
                throw new Error(`${host}${path}: order decides`);
              const matching = rules.filter(
                (rule) =>
                  rule.methods.includes(method) &&
                  rule.pattern.test(path) &&
                  rule.hosts.some((own) => holds(own, host)),
              );
              if (matching.length > 0 !== (found !== undefined))
                throw new Error(`${method} ${host}${path}: missed`);
              for (const other of matching) {
                if (other === found || found === undefined) continue;
                if (overlap === 'error')
                  throw new Error(`${method} ${host}${path}: an overlap was not found`);
                const { relation } = relate(found.pattern, other.pattern);
                if (!/^(a-in-b|equal)$/.test(relation))
                  throw new Error(`${method} ${host}${path}: ${found.path} is ${relation}`);
              }
            }
          }
        }
      }),
      {
        numRuns,
        // The same path on hosts of which two are equal and two lie inside one another: duplicate, wherever it begins.
        examples: [
          [
            [
              { path: '/', hosts: ['x.y.example.com'], methods: ['POST'] },
              { path: '/', hosts: ['a.example.com', '*.y.example.com'], methods: ['POST'] },
              { path: '/', hosts: ['a.example.com', 'x.y.example.com'], methods: ['POST'] },
            ],
            'error',
            -735920000,
          ],
        ],
      },
    );
    t.pass(`${numRuns} sets, ${tables} of them without errors`);
    t.end();
  },
);

function holds(own: string, host: string): boolean {
  return own.startsWith('*') ? host.endsWith(own.slice(1)) : own === host;
}

function hash(text: string): number {
  let value = 17;
  for (const char of text) value = (value * 31 + (char.codePointAt(0) as number)) % 1_000_003;
  return value;
}
