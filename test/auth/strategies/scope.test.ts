import fc from 'fast-check';
import t from 'tap';
import { missingScopes, scopeStrategies } from '../../../src/auth/strategies/scope.js';
import type { ScopeStrategyName } from '../../../src/auth/strategies/strategy.js';
import { verdict } from '../../specification.js';
import { vectors } from '../../vectors.js';

interface Case {
  readonly strategy: ScopeStrategyName;
  readonly haystack: readonly string[];
  readonly needle: string;
  readonly match: boolean;
  readonly source: string;
}

const { cases } = vectors<{ cases: Case[] }>('scopes');

t.test('every case of the vectors', async (t) => {
  for (const { strategy, haystack, needle, match, source } of cases) {
    t.equal(
      scopeStrategies[strategy](haystack, needle),
      match,
      `${strategy}: [${haystack.join(', ')}] ${match ? 'grants' : 'does not grant'} ${needle} (${source})`,
    );
  }
});

t.test('the specification that the decision is tested against agrees with the vectors', async (t) => {
  for (const { strategy, haystack, needle, match } of cases) {
    // An empty item is no scope (RFC 6749 §3.3) and never gets as far as a strategy.
    if (needle === '' || haystack.includes('')) continue;
    const rule = {
      required_scope: [needle],
      scope_strategy: strategy,
      target_audience: [],
      trusted_issuers: [],
    };
    const answer = { active: true, scope: haystack };
    t.equal(
      verdict(rule, answer, 0),
      match ? 'allow' : 'insufficient_scope',
      `${strategy}: ${haystack} ${needle}`,
    );
  }
});

t.test('a scope covers what stands below it after a dot, and nothing that only begins like it', async (t) => {
  for (const [granted, required, covered] of [
    ['foo', 'foo', true],
    ['foo', 'foo.bar', true],
    ['foo.bar', 'foo.bar.baz', true],
    ['foo', 'foobar', false],
    ['foo', 'foo-bar', false],
    ['foo', 'foo:bar', false],
    ['foo.bar', 'foo.barbaz', false],
    ['foo.bar', 'foo', false],
    ['foo.', 'foo.bar', false],
  ] as const) {
    t.equal(scopeStrategies.hierarchic([granted], required), covered, `hierarchic: ${granted}, ${required}`);
  }
  for (const name of ['exact', 'wildcard'] as const) {
    t.notOk(scopeStrategies[name](['foo'], 'foobar'), name);
    t.notOk(scopeStrategies[name](['foo'], 'foo-bar'), name);
  }
  t.notOk(scopeStrategies.wildcard(['foo*'], 'foobar'), 'a star within a part is a character like others');
});

const part = fc.constantFrom('a', 'b', 'ab', 'a-b', '*', '', 'A');
const scope = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));

t.test('law: every strategy grants what the specification does', async () => {
  const named = fc.array(fc.constantFrom('a', 'b', 'ab', 'a-b', '*', 'A'), { minLength: 1, maxLength: 4 });
  const scopes = named.map((parts) => parts.join('.'));
  fc.assert(
    fc.property(
      fc.constantFrom<ScopeStrategyName>('exact', 'hierarchic', 'wildcard'),
      fc.array(scopes, { maxLength: 3 }),
      scopes,
      (name, granted, required) => {
        const rule = {
          required_scope: [required],
          scope_strategy: name,
          target_audience: [],
          trusted_issuers: [],
        };
        const expected = verdict(rule, { active: true, scope: granted }, 0) === 'allow';
        return scopeStrategies[name](granted, required) === expected;
      },
    ),
    { numRuns: 1_000 },
  );
});

t.test('strategies only look at the scopes: order and repetition change nothing', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom<ScopeStrategyName>('exact', 'hierarchic', 'wildcard'),
      fc.array(scope),
      scope,
      (name, granted, required) => {
        const strategy = scopeStrategies[name];
        const once = strategy(granted, required);
        return (
          once === strategy([...granted].reverse(), required) &&
          once === strategy([...granted, ...granted], required)
        );
      },
    ),
  );
});

t.test('more scopes never grant less, and nothing is granted by none', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom<ScopeStrategyName>('exact', 'hierarchic', 'wildcard'),
      fc.array(scope),
      fc.array(scope),
      scope,
      (name, granted, more, required) => {
        const strategy = scopeStrategies[name];
        return (
          (!strategy(granted, required) || strategy([...granted, ...more], required)) &&
          !strategy([], required)
        );
      },
    ),
  );
});

t.test('all required scopes are needed; what is missing is named', async (t) => {
  t.same(missingScopes(['a', 'b'], ['a', 'b'], scopeStrategies.exact), []);
  t.same(missingScopes(['a'], ['a', 'b', 'c'], scopeStrategies.exact), ['b', 'c']);
  t.same(missingScopes([], [], scopeStrategies.exact), []);
  t.same(missingScopes(['A'], ['a'], scopeStrategies.exact), ['a'], 'compared case by case');
});
