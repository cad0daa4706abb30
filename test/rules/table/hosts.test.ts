import fc from 'fast-check';
import t from 'tap';
import { HostIndex, holdHost } from '../../../src/rules/table/hosts.js';
import { buildTable } from '../../../src/rules/table/table.js';
import { rule } from './rule.js';

const label = fc.constantFrom('a', 'b', 'example');
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const pattern = fc.oneof(
  host,
  host.map((suffix) => `*.${suffix}`),
);
const name = fc.oneof({ weight: 4, arbitrary: host }, { weight: 1, arbitrary: pattern });

t.test('what explain calls a host of a rule is what the table takes for one', (t) => {
  let held = 0;
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), name, (hosts, host) => {
      const { table } = buildTable([rule({ path: '/x', hosts })], { overlap: 'error', version: 1 });
      const found = table?.find(host, 'GET', '/x') !== undefined;
      if (found) held++;
      return holdHost(hosts, host) === found;
    }),
    { numRuns: 2_000 },
  );
  t.ok(held > 100, 'hosts that are held are among them');
  t.end();
});

t.test(
  'a host with a dot at the end, which servers take for the name without it, belongs to no rule',
  (t) => {
    const patterns = fc.uniqueArray(fc.oneof(pattern, fc.constant('*')), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(patterns, host, (hosts, name) => {
        // Each rule has a host of its own: a wider one must not take the requests of a narrower one.
        const rules = hosts.map((each, i) => rule({ id: `a/b#${i}`, path: '/x', hosts: [each] }));
        const { table } = buildTable(rules, { overlap: 'specific', version: 1 });
        t.ok(table, 'the rules load');
        return table?.find(`${name}.`, 'GET', '/x') === undefined && !holdHost(hosts, `${name}.`);
      }),
      { numRuns: 500 },
    );
    t.end();
  },
);

t.test('the size of an index is what has to be compared: rules times hosts times methods', (t) => {
  const index = new HostIndex();
  t.equal(index.size, 0);
  index.add(rule({ path: '/a', hosts: ['a.example', 'b.example'], methods: ['GET', 'POST', 'PUT'] }));
  t.equal(index.size, 6);
  index.add(rule({ path: '/b', hosts: ['*.example', 'a.example'], methods: ['GET', 'GET'] }));
  t.equal(index.size, 7, 'each host and method once');
  t.end();
});
