import t from 'tap';
import { decide } from '../../src/auth/decide.js';
import { oauth2Introspection } from '../../src/auth/strategies/oauth2-introspection.js';
import type { MutatorChain } from '../../src/model/mutator.js';
import type { Rule } from '../../src/model/rule.js';
import { describedTarget } from '../../src/parse/target.js';
import { arrival, noServices, ruleOf, tableOf } from '../decision.js';
import { allowed, answering, decideBy, defaults, denied, strategy } from './decide-setup.js';

t.test('a query’s token is not sent on; other queries go as they came', async (t) => {
  const rule = ruleOf('/x', [
    oauth2Introspection.compile({ token_from: { query_parameter: 'key' } }, defaults),
  ]);
  const services = answering(t, { good: true });
  for (const [query, sent] of [
    ['?key=good', ''],
    ['?a=1&key=good&b=%2f+', '?a=1&b=%2f+'],
    ['?%6bey=good&a', '?a'],
    ['??key=1&key=good', '??key=1'],
  ] as const) {
    const { target, fields } = arrival(`/x${query}`);
    const decision = await decide({ table: tableOf([rule]), method: 'GET', target, fields, services });
    t.match(decision, { allowed: true, query: sent }, query);
  }
  const plain = await decideBy(
    [oauth2Introspection.compile({}, defaults)],
    { Authorization: 'Bearer good' },
    services,
  );
  t.notOk('query' in plain);
});

t.test('a rule allows "%2F", "%25" and ";" each by itself', async (t) => {
  const kinds = ['encodedSlash', 'encodedPercent', 'semicolon'] as const;
  const pieces = ['%2f', '%25', ';'];
  const none = { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false };
  for (let allowing = 0; allowing < 8; allowing++) {
    const allows = { ...none };
    for (const [i, kind] of kinds.entries()) allows[kind] = (allowing & (1 << i)) !== 0;
    const table = tableOf([{ ...ruleOf('/x.*', [strategy('a', allowed('a'))]), allows }]);
    for (let holding = 0; holding < 8; holding++) {
      const path = `/x${pieces.filter((_, i) => (holding & (1 << i)) !== 0).join('-')}y`;
      const { target, fields } = arrival(path);
      const decision = await decide({ table, method: 'GET', target, fields, services: noServices });
      const right = (holding & ~allowing) === 0;
      const what = `${path}, ${JSON.stringify(allows)}`;
      if (right) t.match(decision, { allowed: true, path: target.path }, what);
      else t.match(decision, { allowed: false, denial: { error: 'malformed_target' }, rule: Object }, what);
    }
  }
  const { target, fields } = arrival('/y%2fz');
  const nowhere = await decide({ table: tableOf([]), method: 'GET', target, fields, services: noServices });
  t.match(nowhere, { allowed: false, denial: { error: 'malformed_target' } }, 'and where there is no rule');
});

t.test(
  'empty segments go upstream where the rule allows them, and only where each reading is its own',
  async (t) => {
    const open = [strategy('a', allowed('a'))];
    const closed = [strategy('b', denied('b'))];
    const keeping = (path: string) => ({
      ...ruleOf(path, open),
      allows: { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: true },
    });
    for (const [rules, path, expected] of [
      [[keeping('/x/.*')], '/x//y', '/x//y'],
      [[keeping('/x/.*')], '/x/y', '/x/y'],
      [[ruleOf('/x/.*', open)], '/x//y', '/x/y'],
      // Kept, it is a path of the other rule.
      [[keeping('/x/y'), ruleOf('/x//y', closed)], '/x//y', undefined],
      // Read as a reference, `//x` is a host, and `/y` the path.
      [[keeping('/?/x/y'), ruleOf('/y', closed)], '//x/y', undefined],
      [[ruleOf('/x/y', open), ruleOf('/y', closed)], '//x/y', '/x/y'],
      [[ruleOf('/other', open)], '/x//y', null],
    ] as const) {
      const { target, fields } = arrival(path);
      const decision = await decide({
        table: tableOf(rules),
        method: 'GET',
        target,
        fields,
        services: noServices,
      });
      const what = `${path} by ${rules.map((rule) => rule.path)}`;
      if (typeof expected === 'string') t.match(decision, { allowed: true, path: expected }, what);
      else {
        const error = expected === null ? 'no_rule' : 'malformed_target';
        t.match(decision, { allowed: false, denial: { error } }, what);
      }
    }
  },
);

t.test('an escape that upstreams decode must lead to the same rule decoded', async (t) => {
  const asked = (rules: readonly Rule[]) => {
    const { target, fields } = arrival('/x%22y');
    return decide({ table: tableOf(rules), method: 'GET', target, fields, services: noServices });
  };
  const open = [strategy('a', allowed('a'))];
  t.match(await asked([ruleOf('/x.*', open)]), { allowed: true, path: '/x%22y' });
  for (const rules of [
    [ruleOf('/x%22y', open)],
    [ruleOf('/x%22y', open), ruleOf('/x"y', [strategy('b', denied('b'))])],
  ])
    t.match(await asked(rules), { allowed: false, denial: { error: 'malformed_target' } });
  // A full-width letter is a plain one to an upstream that normalizes.
  const { target, fields } = arrival('/%EF%BD%81dmin');
  const table = tableOf([ruleOf('/%.*', open), ruleOf('/admin', [strategy('b', denied('b'))])]);
  t.match(await decide({ table, method: 'GET', target, fields, services: noServices }), {
    allowed: false,
    denial: { error: 'malformed_target' },
  });
});

t.test(
  'a path that an upstream may read as one above the root is refused, though a rule takes every path',
  async (t) => {
    const allows = { encodedSlash: true, encodedPercent: true, semicolon: true, emptySegments: false };
    const table = tableOf([{ ...ruleOf('.*', [strategy('a', allowed('a'))]), allows }]);
    for (const [path, error] of [
      ['/x%2f..', undefined],
      ['/x%2f..%2f..', 'malformed_target'],
      ['/x;a', undefined],
      ['/x%2f..%2f..;a', 'malformed_target'],
      ['/x%252f..%252f..', 'malformed_target'],
    ] as const) {
      const { target, fields } = arrival(path);
      const decision = await decide({ table, method: 'GET', target, fields, services: noServices });
      if (error === undefined) t.match(decision, { allowed: true, path: target.path }, path);
      else t.match(decision, { allowed: false, denial: { error } }, path);
    }
  },
);

t.test(
  'mutators see no token of the query, and none is asked where only the decision is wanted',
  async (t) => {
    const seen: string[] = [];
    const mutators: MutatorChain = {
      mutators: [
        {
          headers: ['x-query'],
          cookies: [],
          keys: [],
          mutate({ match, extra }) {
            seen.push(match.query);
            t.same(extra, {}, 'a subject of which nothing is known has no claims');
            return undefined;
          },
        },
      ],
      writes: { headers: new Set(['x-query']), cookies: new Set() },
    };
    const reading = { ...strategy('a', allowed('a')), tokenSources: [{ query_parameter: 'key' }] };
    const table = tableOf([{ ...ruleOf('/x', [reading]), mutators }]);
    for (const [query, expected] of [
      ['?key=secret&b=1', '?b=1'],
      ['?key=secret', ''],
      ['?b=1', '?b=1'],
    ] as const) {
      const { target, fields } = arrival(`/x${query}`);
      const request = { table, method: 'GET', target, fields };
      const sent = await decide({ ...request, services: noServices });
      t.match(sent, { allowed: true, mutations: { replaced: { headers: new Set(['x-query']) } } }, query);
      t.same(seen.splice(0), [expected], query);
      const asked = await decide({ ...request, services: { ...noServices, forwards: false } });
      t.match(asked, { allowed: true });
      t.notOk('mutations' in asked);
      t.same(seen, [], `${query}: nobody was asked`);
    }
  },
);

t.test('where another proxy sends the path as it came, that must lead to the same rule', async (t) => {
  const open = strategy('a', allowed('a'));
  const closed = strategy('b', denied('b'));
  const asked = (raw: string, rules: readonly Rule[]) => {
    const { fields } = arrival('/');
    const target = describedTarget(raw, 'gate.example');
    if ('refused' in target) throw new Error(target.refused);
    return decide({ table: tableOf(rules), method: 'GET', target, fields, services: noServices });
  };
  t.match(await asked('/%70ub', [ruleOf('/.*', [open])]), { allowed: true, path: '/pub' });
  const parted = [ruleOf('/pub', [open]), ruleOf('/%70ub', [closed])];
  t.match(await asked('/%70ub', parted), { allowed: false, denial: { error: 'malformed_target' } });
  t.match(
    await asked('/%70ub', [ruleOf('/pub', [open])]),
    { allowed: false, denial: { error: 'malformed_target' } },
    'as it came it is nobody’s',
  );
  t.match(await asked('/x//y', [ruleOf('/x/+y', [open])]), { allowed: true, path: '/x/y' });
  t.match(
    await asked('//x/y', [ruleOf('/?/x/y', [open]), ruleOf('/y', [closed])]),
    { allowed: false, denial: { error: 'malformed_target' } },
    'a reader of references takes its first segment for a host',
  );
});

t.test('a rule that strips segments serves no path that has them elsewhere', async (t) => {
  const rule = { ...ruleOf('/.*', [strategy('a', allowed('a'))]), rewrite: { strip: '/api', base: '' } };
  for (const [path, sentPath] of [
    ['/api/x', '/x'],
    ['/api', '/'],
    ['/apix', undefined],
    ['/x', undefined],
    ['/x/y/api', undefined],
  ] as const) {
    const { target, fields } = arrival(path);
    const decision = await decide({
      table: tableOf([rule]),
      method: 'GET',
      target,
      fields,
      services: noServices,
    });
    if (sentPath === undefined)
      t.match(decision, { allowed: false, denial: { error: 'malformed_target' } }, path);
    else t.match(decision, { allowed: true, sentPath }, path);
  }
});
