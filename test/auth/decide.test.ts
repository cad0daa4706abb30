import t from 'tap';
import { decide } from '../../src/auth/decide.js';
import { allow, noAuth, noop } from '../../src/auth/strategies/allow-all.js';
import { anonymous } from '../../src/auth/strategies/anonymous.js';
import { oauth2Introspection } from '../../src/auth/strategies/oauth2-introspection.js';
import { unauthorized } from '../../src/auth/strategies/unauthorized.js';
import type { HeaderRemoval } from '../../src/model/mutator.js';
import type { AccessStrategy, Outcome } from '../../src/model/strategy.js';
import type { TokenSource } from '../../src/parse/token.js';
import { arrival, noServices, ruleOf, tableOf } from '../decision.js';
import { allowed, answering, decideBy, defaults, denied, strategy } from './decide-setup.js';

const PASS: Outcome = { kind: 'pass' };

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

t.test('a token that only a later strategy reads is refused as such, and not as one of two', async (t) => {
  const introspection = { token_from: { header: 'X-Token' } };
  const strategies = [anonymous.compile({}, defaults), oauth2Introspection.compile(introspection, defaults)];
  t.match(decideBy(strategies), { allowed: true, subject: { subject: 'anonymous' } });
  t.match(decideBy(strategies, { 'X-Token': 'good' }, answering(t, { good: true })), {
    allowed: false,
    denial: { error: 'invalid_token', reason: 'no access strategy of the rule accepts this credential' },
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
