import t, { type Test } from 'tap';
import { decide } from '../../src/auth/decide.js';
import { anonymous } from '../../src/auth/strategies/anonymous.js';
import { oauth2Introspection } from '../../src/auth/strategies/oauth2-introspection.js';
import { allow, noAuth, noop } from '../../src/auth/strategies/open.js';
import type { HandlerDefaults } from '../../src/auth/strategies/strategy.js';
import { unauthorized } from '../../src/auth/strategies/unauthorized.js';
import type { Endpoint } from '../../src/model/authorization-server.js';
import type { Decision } from '../../src/model/decision.js';
import type { HeaderRemoval, MutatorChain } from '../../src/model/mutator.js';
import type { Rule } from '../../src/model/rule.js';
import type { AccessStrategy, Outcome, Services } from '../../src/model/strategy.js';
import { describedTarget } from '../../src/parse/target.js';
import type { TokenSource } from '../../src/parse/token.js';
import { arrival, noServices, ruleOf, tableOf } from '../decision.js';

const defaults: HandlerDefaults = {
  scopeStrategy: 'exact',
  endpoint: { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } },
  leeway: 0,
};

/** A strategy of the test's own, with a log of who was asked. */
function strategy(name: string, outcome: Outcome | Promise<Outcome>, asked: string[] = []): AccessStrategy {
  return {
    handler: name,
    requiredScopes: [`${name}-scope`],
    authenticate() {
      asked.push(name);
      return outcome;
    },
  };
}

const PASS: Outcome = { kind: 'pass' };
const allowed = (subject: string): Outcome => ({ kind: 'allow', subject: { subject } });
const denied = (reason: string): Outcome => ({ kind: 'deny', denial: { error: 'invalid_token', reason } });

function decideBy(
  strategies: readonly AccessStrategy[],
  headers: Readonly<Record<string, string>> = {},
  services: Services = noServices,
): Decision | Promise<Decision> {
  const { target, fields } = arrival('/x', headers);
  return decide({ table: tableOf([ruleOf('/x', strategies)]), method: 'GET', target, fields, services });
}

t.test('the first strategy that is responsible decides; those after it are not asked', async (t) => {
  const asked: string[] = [];
  const first = await decideBy([
    strategy('a', PASS, asked),
    strategy('b', allowed('b'), asked),
    strategy('c', denied('c'), asked),
  ]);
  t.match(first, { allowed: true, subject: { subject: 'b' } });
  t.same(asked, ['a', 'b']);
  const second = await decideBy([
    strategy('a', PASS),
    strategy('b', denied('b')),
    strategy('c', allowed('c')),
  ]);
  t.match(second, { allowed: false, denial: { error: 'invalid_token', reason: 'b' } }, 'a denial is final');
});

t.test('the same where one of them has to wait', async (t) => {
  for (const slow of [0, 1, 2]) {
    const asked: string[] = [];
    const outcomes = [PASS, PASS, allowed('c'), denied('d')];
    const decision = decideBy(
      outcomes.map((outcome, i) =>
        strategy('abcd'.charAt(i), i === slow ? Promise.resolve(outcome) : outcome, asked),
      ),
    );
    t.ok(decision instanceof Promise);
    t.match(await decision, { allowed: true, subject: { subject: 'c' } });
    t.same(asked, ['a', 'b', 'c']);
  }
});

t.test('what a strategy says of its token counts where it decides, at once or after a call', async (t) => {
  const removal = (header: string): HeaderRemoval => ({ headers: new Set([header]), cookies: new Set() });
  const places: TokenSource[] = [{ query_parameter: 'key' }];
  const passing = { ...strategy('a', PASS), removal: removal('x-a'), tokenSources: places };
  const { target, fields } = arrival('/x?key=secret&b=1');
  for (const slow of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const) {
    const of = (outcome: Outcome, i: 0 | 1) => (slow[i] ? Promise.resolve(outcome) : outcome);
    const ask = (second: AccessStrategy) => {
      const strategies = [{ ...passing, authenticate: () => of(PASS, 0) }, second];
      const table = tableOf([ruleOf('/x', strategies)]);
      return decide({ table, method: 'GET', target, fields, services: noServices });
    };
    const decides = { ...strategy('b', PASS), authenticate: () => of(allowed('b'), 1) };
    const removes = await ask({ ...decides, removal: removal('x-b') });
    t.match(removes, { allowed: true, removal: { headers: new Set(['x-b']) } }, `${slow}: its own field`);
    t.notOk('query' in removes, `${slow}: and the query as it came`);
    const strips = await ask({ ...decides, tokenSources: places });
    t.match(strips, { allowed: true, query: '?b=1' }, `${slow}: its own place in the query`);
    t.notOk('removal' in strips, `${slow}: and no other field`);
  }
});

t.test('the last denial of those that pass is the answer, whichever of them had to wait', async (t) => {
  const passes = (reason: string): Outcome => ({
    kind: 'pass',
    denial: { error: 'invalid_request', reason },
  });
  for (const [outcomes, expected] of [
    [[passes('one'), PASS], 'one'],
    [[PASS, passes('two')], 'two'],
    [[passes('one'), passes('two')], 'two'],
  ] as const) {
    for (const slow of [[], [0], [1], [0, 1]]) {
      const decision = await decideBy(
        outcomes.map((outcome, i) => strategy(`${i}`, slow.includes(i) ? Promise.resolve(outcome) : outcome)),
      );
      t.match(
        decision,
        { allowed: false, denial: { error: 'invalid_request', reason: expected } },
        `${slow}`,
      );
    }
  }
});

t.test(
  'when none is responsible it is 401 without an error code, and the challenge names all their scopes',
  async (t) => {
    const decision = await decideBy([strategy('a', PASS), strategy('b', PASS)]);
    t.match(decision, { allowed: false, denial: { error: 'no_token', scopes: ['a-scope', 'b-scope'] } });
  },
);

t.test('allow, no_auth and noop let everyone in, with a credential or without, and ask nobody', async (t) => {
  for (const handler of [allow, noAuth, noop]) {
    for (const headers of [{}, { Authorization: 'Bearer t' }, { Authorization: 'Bearer "' }]) {
      const decision = decideBy([handler.compile({}, defaults)], headers as Record<string, string>);
      t.match(decision, { allowed: true, subject: { subject: '' } }, handler.name);
    }
  }
});

t.test('unauthorized lets nobody in', async (t) => {
  for (const headers of [{}, { Authorization: 'Bearer t' }]) {
    const decision = decideBy([unauthorized.compile({}, defaults)], headers as Record<string, string>);
    t.match(decision, { allowed: false, denial: { error: 'unauthorized' } });
  }
});

t.test('anonymous is responsible only where there is no Authorization field', async (t) => {
  const strategies = [anonymous.compile({}, defaults), unauthorized.compile({}, defaults)];
  t.match(decideBy(strategies), { allowed: true, subject: { subject: 'anonymous' } });
  t.match(decideBy([anonymous.compile({ subject: 'guest' }, defaults)]), { subject: { subject: 'guest' } });
  t.match(decideBy(strategies, { Authorization: '' }), { allowed: true }, 'an empty field is no credential');
  for (const authorization of ['Bearer t', 'Basic dTpw', 'x']) {
    t.match(decideBy(strategies, { Authorization: authorization }), {
      allowed: false,
      denial: { error: 'unauthorized' },
    });
  }
  t.match(decideBy([anonymous.compile({}, defaults)], { Authorization: 'Bearer t' }), {
    allowed: false,
    denial: { error: 'no_token' },
  });
});

t.test('introspection, then anonymous: a bad token does not become an anonymous request', async (t) => {
  const strategies = [oauth2Introspection.compile({}, defaults), anonymous.compile({}, defaults)];
  const services = answering(t, { bad: false, good: true });
  t.match(await decideBy(strategies, {}, services), { allowed: true, subject: { subject: 'anonymous' } });
  t.match(await decideBy(strategies, { Authorization: 'Bearer good' }, services), {
    allowed: true,
    subject: { subject: 'good' },
  });
  t.match(await decideBy(strategies, { Authorization: 'Bearer bad' }, services), {
    allowed: false,
    denial: { error: 'invalid_token' },
  });
  t.match(await decideBy(strategies, { Authorization: 'Bearer "' }, services), {
    allowed: false,
    denial: { error: 'invalid_request' },
  });
  t.match(await decideBy(strategies, { Authorization: 'Basic dTpw' }, services), {
    allowed: false,
    denial: { error: 'no_token' },
  });
});

t.test(
  'two introspections: each reads its own place, and the first that finds a token decides',
  async (t) => {
    const strategies = [
      oauth2Introspection.compile({ token_from: { header: 'X-Token' } }, defaults),
      oauth2Introspection.compile({}, defaults),
    ];
    const services = answering(t, { bad: false, good: true });
    t.match(await decideBy(strategies, { Authorization: 'Bearer good' }, services), { allowed: true });
    t.match(await decideBy(strategies, { 'X-Token': 'good' }, services), { allowed: true });
    t.match(await decideBy(strategies, { 'X-Token': 'bad', Authorization: 'Bearer good' }, services), {
      allowed: false,
    });
  },
);

t.test('a cached answer is decided on synchronously', async (t) => {
  const services = answering(t, { good: true }, false);
  const decision = decideBy(
    [oauth2Introspection.compile({}, defaults)],
    { Authorization: 'Bearer good' },
    services,
  );
  t.notOk(decision instanceof Promise);
  t.match(decision, { allowed: true, subject: { subject: 'good' }, introspection: { from: 'hit' } });
});

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

t.test('a second token refuses what would be allowed; a bad token stays what it is', async (t) => {
  const of = (sources: TokenSource[], outcome: Outcome): AccessStrategy => ({
    ...strategy('a', outcome),
    readsTokens: true,
    tokenSources: sources,
  });
  const header: TokenSource[] = [{ header: 'x-token' }];
  const other: TokenSource[] = [{ header: 'x-other' }];
  const both = { 'X-Token': 'one', 'X-Other': 'two' };
  t.match(await decideBy([of(header, allowed('a')), of(other, PASS)], both), {
    allowed: false,
    denial: { error: 'invalid_request', reason: 'the request carries more than one token' },
    subject: { subject: 'a' },
  });
  t.match(await decideBy([of(header, allowed('a')), of(other, PASS)], { 'X-Token': 'one' }), {
    allowed: true,
  });
  t.match(await decideBy([of(header, denied('bad')), of(other, PASS)], both), {
    allowed: false,
    denial: { error: 'invalid_token', reason: 'bad' },
  });
});

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

t.test('what a strategy throws is not an allowance', async (t) => {
  const { target, fields } = arrival('/x');
  const throwing = {
    ...strategy('a', PASS),
    authenticate: () => {
      throw new Error('broken');
    },
  };
  t.throws(
    () =>
      decide({
        table: tableOf([ruleOf('/x', [throwing])]),
        method: 'GET',
        target,
        fields,
        services: noServices,
      }),
    {
      message: 'broken',
    },
  );
  await t.rejects(Promise.resolve(decideBy([strategy('a', Promise.reject(new Error('broken')))])), {
    message: 'broken',
  });
});

/** Services whose authorization server knows these tokens and whether they are active. */
function answering(_t: Test, tokens: Readonly<Record<string, boolean>>, slow = true): Services {
  const introspect = (_endpoint: Endpoint, token: string) => {
    const answer = tokens[token]
      ? ({ active: true, claims: {}, scopes: [], audience: [], subject: token } as const)
      : ({ active: false } as const);
    const trace = { from: slow ? 'miss' : 'hit', ms: 0 } as const;
    const result = { ok: true, answer, trace } as const;
    return slow ? Promise.resolve(result) : result;
  };
  return { ...noServices, introspect };
}

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
