import fc from 'fast-check';
import t from 'tap';
import { decide } from '../../../src/auth/decide.js';
import { readAnswer } from '../../../src/auth/introspection/answer.js';
import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import { createIntrospector } from '../../../src/auth/introspection/introspector.js';
import { oauth2Introspection } from '../../../src/auth/strategies/oauth2-introspection.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import { ERRORS } from '../../../src/model/errors.js';
import type { Rule } from '../../../src/model/rule.js';
import { ask } from '../../ask.js';
import { type FakeClock, fakeClock } from '../../clock.js';
import { arrival, ruleOf, tableOf } from '../../decision.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { noRemote } from '../../remote.js';
import { runs } from '../../rules/pattern/patterns.js';
import { type SpecifiedAnswer, type SpecifiedRule, verdict } from '../../specification.js';
import { runModel } from './model.js';

const START = 1_790_000_000;
const endpoint: Endpoint = { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } };

const scope = fc.constantFrom('read', 'write', 'a', 'a.b', 'a.b.c', 'a.*', '*', 'a.*.c');
const audience = fc.constantFrom('api', 'other');
const issuer = fc.constantFrom('https://one', 'https://two');

const rule: fc.Arbitrary<SpecifiedRule> = fc.record({
  required_scope: fc.uniqueArray(scope, { maxLength: 2 }),
  scope_strategy: fc.constantFrom('exact', 'hierarchic', 'wildcard'),
  target_audience: fc.uniqueArray(audience, { maxLength: 1 }),
  trusted_issuers: fc.uniqueArray(issuer, { maxLength: 1 }),
});

const scopes = fc.uniqueArray(scope, { maxLength: 3 });
const rarely = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, value);
const time = fc.integer({ min: -5, max: 90 }).map((seconds) => START + seconds);

const answer: fc.Arbitrary<SpecifiedAnswer> = fc
  .record({
    active: fc.oneof(
      { weight: 12, arbitrary: fc.constant(true) },
      fc.constantFrom(false, 'true', 1, null, undefined),
    ),
    scope: fc.oneof(
      scopes,
      scopes.map((all) => all.join(' ')),
      fc.constant(undefined),
    ),
    scp: rarely(scopes),
    aud: fc.oneof(audience, fc.uniqueArray(audience), fc.constant(undefined)),
    iss: fc.option(issuer, { nil: undefined }),
    exp: fc.oneof(fc.constant(undefined), time, rarely(fc.constantFrom('soon', '1790000000'))),
    nbf: rarely(time),
    token_use: fc.constantFrom(undefined, 'access_token', 'access_token', 'refresh_token'),
    token_type: fc.constantFrom(undefined, 'Bearer', 'bearer', 'access_token', 'DPoP'),
    cnf: rarely(fc.constant({ jkt: 'x' })),
  })
  .map((members) => JSON.parse(JSON.stringify(members)) as SpecifiedAnswer);

interface Step {
  readonly rule: number;
  readonly token: number;
  readonly advance: number;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    rule: fc.nat(3),
    token: fc.nat(2),
    advance: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 20_000 })),
  }),
  { minLength: 8, maxLength: 40 },
);

t.test('whatever rules, tokens and order of hits and misses, each decision is its own', async (t) => {
  const sources = { hit: 0, shared: 0, miss: 0, failed: 0, coalesced: 0, stale: 0, limited: 0 };
  const verdicts = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(rule, rule, rule, rule),
      fc.tuple(answer, answer, answer),
      steps,
      async (specified, answers, order) => {
        const clock = fakeClock(START);
        const services = servicesOf(clock, answers);
        const table = tableOf(specified.map((config, i) => compiled(config, `/r${i}`)));
        for (const step of order) {
          clock.advance(step.advance);
          const { target, fields } = arrival(`/r${step.rule}`, { authorization: `Bearer t${step.token}` });
          const decision = await decide({ table, method: 'GET', target, fields, services });
          const expected = verdict(
            specified[step.rule] as SpecifiedRule,
            answers[step.token] as SpecifiedAnswer,
            clock.wall(),
          );
          const actual = decision.allowed ? 'allow' : decision.denial.error;
          if (actual !== expected) {
            throw new Error(`${JSON.stringify(step)}: decided ${actual}, specified ${expected}`);
          }
          sources[decision.introspection?.from ?? 'failed']++;
          verdicts.set(actual, (verdicts.get(actual) ?? 0) + 1);
        }
      },
    ),
    { numRuns: runs(600) },
  );
  t.ok(sources.hit > 5_000 && sources.miss > 2_000, `${sources.hit} hits, ${sources.miss} misses`);
  for (const name of ['allow', 'invalid_token', 'insufficient_scope', 'authorization_server_unavailable']) {
    t.ok((verdicts.get(name) ?? 0) > 500, `${verdicts.get(name)} times ${name}`);
  }
});

t.test('each decision is what the specification says, whatever happens in between', async (t) => {
  // The slow check makes a million of them.
  const { decisions, hits } = await runModel(20_261_125, 8_000);
  t.ok(hits > decisions / 4, `${decisions} decisions, ${hits} of them from the cache`);
});

t.test(
  'each decision is what the specification says where answers in use are refreshed before they expire',
  async (t) => {
    const { hits, refreshes, events } = await runModel(20_261_126, 8_000, 20_000);
    t.ok(refreshes > 80, `${refreshes} of ${hits} hits asked again`);
    t.ok((events.get('forgotten during a refresh') ?? 0) > 10, `${[...events]}`);
  },
);

t.test('whatever rules and tokens, the whole gateway answers what is specified', async (t) => {
  const [rules] = fc.sample(fc.array(rule, { minLength: 12, maxLength: 12 }), { numRuns: 1, seed: 7662 });
  const [answers] = fc.sample(fc.array(answer, { minLength: 25, maxLength: 25 }), { numRuns: 1, seed: 6750 });
  if (rules === undefined || answers === undefined) throw new Error('fast-check made nothing');
  const clock = fakeClock(START);
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule(
      'gate.example',
      rules.map((config, i) => ({
        path: `/r${i}`,
        methods: ['GET'],
        accessStrategies: [{ handler: 'oauth2_introspection', config }],
      })),
    ),
    settings: { introspection: { breaker: { failures: 0 } } },
    // The endpoint says active: true where a test does not say otherwise.
    tokens: Object.fromEntries(answers.map((members, i) => [`t${i}`, { active: null, ...members }])),
  });
  const order = fc.sample(fc.record({ rule: fc.nat(11), token: fc.nat(24) }), { numRuns: 300, seed: 1 });
  for (const [i, step] of order.entries()) {
    if (i % 60 === 59) clock.advance(9_000);
    const reply = await ask(gate, `/r${step.rule}`, { token: `t${step.token}` });
    const expected = verdict(
      rules[step.rule] as SpecifiedRule,
      answers[step.token] as SpecifiedAnswer,
      clock.wall(),
    );
    const status = expected === 'allow' ? 200 : ERRORS[expected].code;
    if (reply.status !== status) {
      t.fail(`request ${i}: ${reply.status} instead of ${status}`, { step, expected, reason: reply.reason });
    }
  }
  const audited = gate.log.filter(({ audit }) => audit !== undefined);
  t.equal(audited.length, 300);
  t.ok(audited.filter(({ introspection }) => introspection === 'hit').length > 100, 'hits were among them');
});

t.test(
  'a token for read, cached by one rule, opens no rule for write, and the other way round',
  async (t) => {
    for (const [scope, first, second] of [
      ['read', '/read', '/write'],
      ['write', '/write', '/read'],
    ] as const) {
      const gate = await startTestGateway(t, {
        rules: apiRule(
          'gate.example',
          ['read', 'write'].map((needed) => ({
            path: `/${needed}`,
            methods: ['GET'],
            accessStrategies: [{ handler: 'oauth2_introspection', config: { required_scope: [needed] } }],
          })),
        ),
        tokens: { token: { scope } },
      });
      t.equal((await ask(gate, first, { token: 'token' })).status, 200);
      const refused = await ask(gate, second, { token: 'token' });
      t.equal(refused.status, 403);
      t.match(refused.headers['www-authenticate'], /error="insufficient_scope".*scope="/);
      t.equal(
        (await ask(gate, first, { token: 'token' })).status,
        200,
        'and the refusal is not remembered either',
      );
      t.equal(gate.endpoint.asked.length, 1, 'one introspection for all three');
    }
  },
);

function compiled(config: SpecifiedRule, path: string): Rule {
  const strategy = oauth2Introspection.compile(config as unknown as Record<string, unknown>, {
    scopeStrategy: 'exact',
    endpoint,
    leeway: 0,
  });
  return ruleOf(path, [strategy]);
}

function servicesOf(clock: FakeClock, answers: readonly SpecifiedAnswer[]) {
  const cache = new AnswerCache(
    { ttl: 60_000, negativeTtl: 5_000, maxEntries: 100, negativeMaxEntries: 10 },
    clock,
  );
  const { introspect } = createIntrospector({
    client: { call: async (_endpoint, token) => readAnswer(JSON.stringify(answers[Number(token.slice(1))])) },
    cache,
    limits: { timeout: 1_000, concurrency: 10, queue: 10, breaker: { failures: 0, openFor: 1 } },
    clock,
  });
  return { introspect, ...noRemote, now: clock.wall };
}
